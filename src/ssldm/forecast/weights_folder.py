"""Weights on disk: one folder with `model.safetensors`, `config.json` and a model card. Never a pickle."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import Tensor, nn

from ssldm.atomic import replacing
from ssldm.config import Config, first_fault
from ssldm.errors import MissingModelError, ModelError
from ssldm.paths import check_regular_file

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"

C = TypeVar("C", bound=Config)


def write_weights(folder: Path, config: Config, state: Mapping[str, Tensor], card: str | None = None) -> None:
    """Write a weights folder, each file aside and then renamed."""
    from safetensors.torch import save_file

    with replacing(folder / WEIGHTS) as aside:
        save_file({name: value.contiguous() for name, value in state.items()}, aside)
    with replacing(folder / CONFIG) as aside:
        aside.write_text(config.model_dump_json(indent=2) + "\n")
    if card is not None:
        with replacing(folder / CARD) as aside:
            aside.write_text(card)


def read_json(folder: Path) -> Any:
    """What stands in the configuration in a weights folder.

    Raises:
        ModelError: no configuration, or no JSON.
    """
    _check_files(folder)
    try:
        return json.loads((folder / CONFIG).read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingModelError(f"expected a model, found no {CONFIG} in {folder}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{folder / CONFIG}: expected JSON ({error})") from error


def read_config(folder: Path, kind: type[C]) -> C:
    """The configuration in a weights folder.

    Raises:
        ModelError: no configuration, or not one of this kind.
    """
    try:
        return kind.model_validate(read_json(folder))
    except ValidationError as error:
        raise ModelError(f"{folder}: not a model's configuration ({first_fault(error, kind)})") from error


def load_weights(module: nn.Module, folder: Path) -> None:
    """Load the weights in a folder into a module.

    Raises:
        ModelError: no weights, a broken file, or weights of another module.
    """
    load_state(module, read_weights(folder), folder)


def load_state(module: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Load weights that were read from a folder into a module.

    Raises:
        ModelError: weights of another module.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        _, *differences = str(error).splitlines()
        first = differences[0].strip() if differences else error
        raise ModelError(f"{folder}: weights and configuration differ ({first})") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The state dict in a weights folder.

    Raises:
        ModelError: no weights, or a broken file.
    """
    _check_files(folder)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ModelError(f"expected weights, found no {WEIGHTS} in {folder}") from error
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS}: damaged ({error})") from error
    return state


def weights_hash(folder: Path) -> str:
    """First twelve hexadecimal digits of the SHA-256 of weights and configuration, which tell models apart.

    Raises:
        ModelError: no weights.
    """
    _check_files(folder)
    try:
        content = b"".join((folder / name).read_bytes() for name in (WEIGHTS, CONFIG))
    except FileNotFoundError as error:
        raise ModelError(f"expected weights, found no {Path(error.filename).name} in {folder}") from error
    return hashlib.sha256(content).hexdigest()[:12]


def weights_at(name: str, shipped: Sequence[str], hub: Mapping[str, Any]) -> Path:
    """The folder of weights that are shipped, in a folder, or on the Hugging Face Hub.

    Args:
        name: one of ``shipped``, a folder, or "user/repository".
        shipped: names of what comes in the package.
        hub: passed to `huggingface_hub.snapshot_download`.

    Raises:
        MissingModelError: nothing of that name.
    """
    if not name.strip() or "\0" in name:
        raise MissingModelError(f"expected the name of a model, found {name!r}")
    if name in shipped:
        return Path(str(files("ssldm") / "weights" / name))
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise MissingModelError(
            f"expected a shipped model ({', '.join(shipped)}), a folder or user/repository, found {name!r}"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, **hub))
    except Exception as error:  # the hub client raises many kinds for a missing network or repository
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise MissingModelError(f"{name}: not to be had from the hub ({said})") from error


def read_card(folder: Path) -> str | None:
    """The model card in a weights folder, None without one.

    Raises:
        ModelError: it is no text.
    """
    _check_files(folder)
    try:
        return (folder / CARD).read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ModelError(f"{folder / CARD}: expected text ({error})") from error


def _check_files(folder: Path) -> None:
    """Refuse pipes, devices and folders under the names of files."""
    for name in (WEIGHTS, CONFIG, CARD):
        if (folder / name).exists():
            check_regular_file(folder / name, ModelError)
