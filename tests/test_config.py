"""A configuration that is wrong says where, and what may be meant."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from test_nowcast import tiny_model

from ssldm.config import Config, first_fault
from ssldm.errors import ConfigurationError, ModelError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.training.preset import Preset, load_preset
from ssldm.training.preset_file import PRESETS


def keys_of(section: Config, before: str = "") -> list[str]:
    """All keys of a configuration, dotted."""
    found = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        found.append(before + name)
        if isinstance(value, Config):
            found += keys_of(value, f"{before}{name}.")
    return found


def fault(preset: str, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_preset(preset, overrides)
    (line,) = str(refused.value).splitlines()
    return line


@pytest.mark.parametrize("name", PRESETS)
def test_a_key_with_a_letter_too_many_suggests_the_key(name: str) -> None:
    for key in keys_of(load_preset(name)):
        line = fault(name, f"{key}x=1")
        assert f"{key}x: no such key; did you mean {key}" in line


@pytest.mark.parametrize("name", PRESETS)
def test_a_key_in_a_misspelt_section_suggests_the_section(name: str) -> None:
    for section in ("window", "autoencoder", "denoiser.merge_net", "denoiser_training.optimisation"):
        misspelt = section[:-2] + section[-1] + section[-2]
        assert f"did you mean {section}" in fault(name, f"{misspelt}.size=64")


def test_a_key_without_its_section_suggests_where_it_stands() -> None:
    assert "did you mean denoiser.merge_net.pixels?" in fault("tiny", "pixels=encoder")
    line = fault("tiny", "batch_size=3")
    assert all(
        f"{name}_training.optimisation.batch_size" in line for name in ("unet", "denoiser", "autoencoder")
    )


def test_a_key_like_no_other_lists_those_that_are_there() -> None:
    line = fault("tiny", "window.qqqqqq=3")
    assert all(name in line for name in type(load_preset("tiny").window).model_fields)


def test_a_key_of_another_kind_says_of_which() -> None:
    assert "autoencoder.multipliers: no such key; it is one of kind kl" in fault(
        "tiny", "autoencoder.kind=block", "autoencoder.latent_channels=4"
    )


@pytest.mark.parametrize(
    ("key", "nearly", "choices"),
    [
        ("denoiser.merge_net.pixels", "encodr", ("none", "downsampled", "encoder")),
        ("autoencoder.kind", "blok", ("block", "kl")),
        ("denoiser.kind", "staked", ("stacked", "stc")),
        ("diffusion.prediction", "v_predicton", ("epsilon", "v_prediction", "sample")),
        ("scaling.kind", "powr", ("power", "reflectivity")),
    ],
)
def test_a_wrong_word_lists_the_choices_and_names_the_nearest(
    key: str, nearly: str, choices: tuple[str, ...]
) -> None:
    line = fault("tiny", f"{key}={nearly}")
    assert key in line
    assert f"'{nearly}'; did you mean" in line
    assert all(f"'{choice}'" in line for choice in choices)


def test_a_misspelt_key_comes_before_what_then_seems_to_be_missing() -> None:
    tree = load_preset("tiny").model_dump()
    tree["autoencoder_trainig"] = tree.pop("autoencoder_training")
    with pytest.raises(ValidationError) as refused:
        Preset.model_validate(tree)
    assert first_fault(refused.value, Preset).startswith("autoencoder_trainig: no such key; did you mean")


def test_a_configuration_beside_weights_suggests_keys_too(tmp_path: Path) -> None:
    Nowcaster(tiny_model(), "tiny").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    content["denoiser"]["merge_net"]["pixel"] = "none"
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"did you mean denoiser\.merge_net\.pixels\?"):
        Nowcaster.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "window.size=[", "=3", ".size=3", "window..size=3", "window.size", "window=3", "window=null",
        "window.size=", "window.size=two", "window.size=2.5", "window.dry_weight=.nan",
        "unet_training.intensity_weight=.inf",
    ],
)  # fmt: skip
def test_what_is_no_override_is_refused_in_one_line(text: str) -> None:
    assert fault("tiny", text)


@pytest.mark.parametrize(
    "content",
    [b"", b"- 1\n- 2\n", b"a: [1\nb: {", b"\xff\xfe\x00", b"1: 2\n", b"text", b"!!python/object:os.x {}"],
)
def test_a_file_that_is_no_preset_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_bytes(content)
    assert "preset.yaml" in fault(str(tmp_path / "preset.yaml"))
    assert "did you mean small?" in fault("smal")


@pytest.mark.parametrize("name", PRESETS)
def test_no_number_of_a_preset_may_be_negative_or_none_at_all(name: str) -> None:
    """Whatever the key: a size, a rate, a weight or a number of steps."""
    preset = load_preset(name)
    for key in keys_of(preset):
        value: object = preset
        for part in key.split("."):
            value = getattr(value, part)
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "autoencoder.heavy":
            assert key.split(".")[0] in fault(name, f"{key}=-1")
            assert key in fault(name, f"{key}=.nan")


@pytest.mark.parametrize("key", ["unet_training.optimisation.seed", "denoiser_training.optimisation.seed"])
def test_an_override_leaves_the_other_keys_of_its_section_as_they_are(key: str) -> None:
    for name in PRESETS:
        training = key.split(".", maxsplit=1)[0]
        before, after = (
            getattr(load_preset(name, given), training).optimisation for given in ([], [f"{key}=7"])
        )
        assert after == before.model_copy(update={"seed": 7})


@pytest.mark.parametrize("training", ["autoencoder", "prior", "unet"])
def test_the_script_of_the_shipped_weights_takes_the_steps_of_the_preset(training: str) -> None:
    script = (Path(__file__).parents[1] / "experiments/small.sh").read_text()
    steps = getattr(load_preset("small"), f"{training}_training").optimisation.steps
    assert f'"$(steps {training} {steps})"' in script
