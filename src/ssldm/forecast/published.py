"""The published checkpoints as a weights folder."""

import warnings
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from ssldm.atomic import check_output
from ssldm.config import first_fault
from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.errors import ModelError, UnverifiedHeads
from ssldm.forecast.weights_folder import CONFIG, WEIGHTS, write_weights
from ssldm.model.latent_diffusion import LatentDiffusion, ModelConfig
from ssldm.model.scaling import IntensityScaling
from ssldm.paper.checkpoints import (
    autoencoder_state,
    denoiser_state,
    infer_autoencoder_config,
    infer_denoiser_config,
)
from ssldm.paths import check_no_source, check_regular_file, kind_of

# Latents are multiplied by this before diffusion; a constant of the published training.
LATENT_SCALE = 0.3242
SPATIAL_HEADS = 8
_MODEL, _AVERAGED = "model.", "model_ema."


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file; nothing in it is executed.

    Raises:
        ModelError: no such file, or something else.
    """
    if not path.exists():
        raise ModelError(f"expected a checkpoint, found nothing at {path}")
    check_regular_file(path, ModelError)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises many kinds on what is not a checkpoint
        # What torch says goes on to advise executing what is in the file.
        raise ModelError(
            f"{path}: not a checkpoint of tensors alone, as torch.save writes it ({type(error).__name__})"
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a dictionary of tensors, found {type(content).__name__}")
    return {
        key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)
    }


def select_denoiser(checkpoint: dict[str, Tensor], *, averaged: bool) -> dict[str, Tensor]:
    """The denoiser's state in the published training checkpoint, current or averaged.

    Raises:
        ModelError: no averaged copy.
    """
    current = {key.removeprefix(_MODEL): v for key, v in checkpoint.items() if key.startswith(_MODEL)}
    current = {key.removeprefix("diffusion_model."): value for key, value in current.items()}
    if not current:
        return checkpoint
    if not averaged:
        return current
    # The averaging keeps names with their dots removed.
    names = {key.replace(".", ""): key for key in current}
    copies = {}
    for key, value in checkpoint.items():
        flat = key.removeprefix(_AVERAGED).replace(".", "").removeprefix("diffusion_model")
        if key.startswith(_AVERAGED) and flat in names:
            copies[names[flat]] = value
    if missing := sorted(set(current) - set(copies)):
        raise ModelError(f"expected an averaged copy of every weight, found none of {missing[0]!r}")
    return copies


def convert_checkpoints(
    autoencoder: Path,
    denoiser: Path,
    out: Path,
    *,
    averaged: bool = False,
    spatial_heads: int | None = None,
) -> LatentDiffusion:
    """Write a weights folder from the published `Autoencoder.pth` and `pre.pth`.

    Args:
        autoencoder, denoiser: the checkpoints.
        out: the folder to write.
        averaged: take the averaged copy of the denoiser.
        spatial_heads: of the denoiser, those of the published one where None; the one size that leaves no
            trace in its weights, so that another number is taken with a warning.

    Raises:
        ModelError: files that are not the published checkpoints, or heads that do not divide their channels.
        OutputError: a folder that cannot be written to, or that holds the checkpoints as what is written.
    """
    if out.exists() and not out.is_dir():
        raise ModelError(f"expected a folder to write the weights to, found {kind_of(out)} at {out}")
    for name in (WEIGHTS, CONFIG):
        check_output(out / name)
        check_no_source(out / name, [autoencoder, denoiser])
    encoder_state = read_checkpoint(autoencoder)
    state = select_denoiser(read_checkpoint(denoiser), averaged=averaged)
    denoiser_sizes = infer_denoiser_config(state, SPATIAL_HEADS if spatial_heads is None else spatial_heads)
    autoencoder_sizes = infer_autoencoder_config(encoder_state)
    try:
        config = ModelConfig(
            name="ssldm-isi-published",
            context_frames=denoiser_sizes.merge_net.context_frames,
            pixel_size=(2000.0, 2000.0),
            training_data=("SMHI composite, as published",),
            scaling=IntensityScaling(kind="reflectivity"),
            autoencoder=autoencoder_sizes,
            denoiser=denoiser_sizes,
            diffusion=DiffusionConfig(),
        )
    except ValidationError as error:
        raise ModelError(f"not checkpoints of one model ({first_fault(error, ModelConfig)})") from error
    model = config.build()
    model.latent_std.fill_(1.0 / LATENT_SCALE)
    try:
        model.autoencoder.load_state_dict(autoencoder_state(encoder_state))
        model.denoiser.load_state_dict(denoiser_state(state))
    except RuntimeError as error:
        raise ModelError(f"not the published checkpoints ({' '.join(str(error).split())[:200]})") from error
    if spatial_heads not in (None, SPATIAL_HEADS):
        warnings.warn(
            f"weights do not tell how many spatial heads they are of; {spatial_heads} are taken as asked, "
            f"the published model has {SPATIAL_HEADS}",
            UnverifiedHeads,
            stacklevel=2,
        )
    write_weights(out, config, model.state_dict())
    return model
