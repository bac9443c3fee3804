"""The paper's variants and ours from the command line: what a preset lets through trains and forecasts."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ssldm.errors import ConfigurationError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.paper.merge_net import Condition
from ssldm.radar.archive import open_archive
from ssldm.training.preset import Preset, load_preset
from ssldm.training.preset_file import PRESETS
from ssldm.training.run import train_autoencoder, train_denoiser

LEAD = 4
PIXELS = ("none", "downsampled", "encoder")
CONDITIONS = ((), ("extrapolation",))
AUTOENCODERS = ("kl", "block")
DENOISERS = ("stc", "stacked")
TRAININGS = ("autoencoder_training", "denoiser_training")


@dataclass(frozen=True)
class Variant:
    """A shipped preset with another merge net, autoencoder or denoiser."""

    preset: str
    pixels: str
    conditions: tuple[str, ...]
    autoencoder: str
    denoiser: str = "stc"

    @property
    def overrides(self) -> list[str]:
        """Of the command line; with what another kind of autoencoder asks for."""
        channels = 24 if self.preset == "small" else 4
        given = {name: str(name in self.conditions).lower() for name in CONDITIONS[-1]}
        own = load_preset(self.preset)
        changed = [f"denoiser.merge_net.{key}={value}" for key, value in given.items()]
        if self.denoiser == "stacked":
            merge_net = ", ".join(f"{key}: {value}" for key, value in given.items())
            pixel_channels, frames = own.denoiser.merge_net.pixel_channels, own.window.lead_frames
            merge_net = f"latent_channels: {channels}, pixel_channels: {pixel_channels}, {merge_net}"
            changed = [f"denoiser={{kind: stacked, lead_frames: {frames}, merge_net: {{{merge_net}}}}}"]
        changed += [f"denoiser.merge_net.pixels={self.pixels}"]
        if self.autoencoder == own.autoencoder.kind:
            return changed
        if self.autoencoder == "block":
            return [*changed, "autoencoder={kind: block, latent_channels: 4}", "scaling.kind=power"]
        kl = f"autoencoder={{kind: kl, channels: 1, latent_channels: {channels}}}"
        return [*changed, kl, "denoiser_training.turned=false"]

    def __str__(self) -> str:
        return "-".join([self.preset, self.pixels, *self.conditions, self.autoencoder, self.denoiser])


VARIANTS = [
    Variant(*parts) for parts in itertools.product(PRESETS, PIXELS, CONDITIONS, AUTOENCODERS, DENOISERS)
]


def scaled_down(variant: Variant) -> list[str]:
    """Of the same structure, in seconds."""
    loaded = load_preset(variant.preset, variant.overrides)
    sizes = [f"window.{text}" for text in ("size=64", f"lead_frames={LEAD}", "coarsenings=[1]")]
    sizes += ["window.rescaled=false", "window.least_lead_frames=null", "autoencoder_training.crop=64"]
    if loaded.autoencoder.kind == "kl" and variant.preset != "tiny":
        sizes += [f"autoencoder.{text}" for text in ("width=32", "multipliers=[1,1,1,1]", "blocks=1")]
    if loaded.autoencoder.kind == "block":
        sizes += ["autoencoder.fit_steps=4"]
    sizes += [f"denoiser.{text}" for text in ("width=32", "multipliers=[1]", "blocks=1", "groups=8")]
    if variant.denoiser == "stc":
        sizes += [
            "denoiser.attention_reductions=[1]",
            "denoiser.spatial_heads=2",
            "denoiser.temporal_heads=2",
        ]
    else:
        sizes += [f"denoiser.lead_frames={LEAD}"]
    sizes += ["denoiser.merge_net.encoder_width=32"]
    for training in TRAININGS:
        once = "{steps: 1, steps_per_epoch: 1, batch_size: 2, warmup_steps: 0, precision: 32-true}"
        sizes += [f"{training}.optimisation={once}"]
    counts = ("windows=2", "validation_windows=1", "validation_members=2", "validation_steps=1")
    return [*variant.overrides, *sizes, *(f"denoiser_training.{text}" for text in counts)]


def refusal(variant: Variant) -> str:
    """What a preset is refused with; nothing if it is read."""
    try:
        load_preset(variant.preset, variant.overrides)
    except ConfigurationError as error:
        return str(error)
    return ""


REFUSALS = {variant: refusal(variant) for variant in VARIANTS}
ACCEPTED = [variant for variant in VARIANTS if not REFUSALS[variant]]
# One of each preset, pixel condition and kind of autoencoder, with the most conditions that fit; with another
# kind than the preset's only the encoder, which depends on it.
QUICK = {
    (v.preset, v.pixels, v.autoencoder): v
    for v in ACCEPTED
    if v.denoiser == "stc"
    and (v.pixels == "encoder" or v.autoencoder == ("block" if v.preset == "small" else "kl"))
}.values()


def condition_of(preset: Preset) -> Condition:
    """Of one window at full size, without numbers."""
    merge_net, window = preset.denoiser.merge_net, preset.window
    side = window.size // preset.autoencoder.stride
    lead, channels = window.lead_frames, merge_net.latent_channels
    latents = torch.empty(1, lead, channels, side, side)
    return Condition(
        context_latent=torch.empty(1, window.context_frames, channels, side, side),
        context_pixels=torch.empty(1, window.context_frames, 1, window.size, window.size),
        extrapolated_latent=latents,
        extrapolated_coverage=torch.empty(1, lead, 1, side, side),
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_variant_of_a_preset_gathers_its_conditions_at_full_size_or_is_refused_by_its_keys(
    name: str,
) -> None:
    of_preset = [variant for variant in VARIANTS if variant.preset == name]
    refusals = [text for variant in of_preset if (text := REFUSALS[variant])]
    assert all("denoiser.merge_net" in text for text in refusals)
    assert not any("\n" in text for text in refusals)
    read = [variant for variant in of_preset if variant in ACCEPTED]
    assert len(read) >= 2 * len(PIXELS) * len(DENOISERS)
    for variant in read:
        preset = load_preset(name, variant.overrides)
        merge_net, lead = preset.denoiser.merge_net, preset.window.lead_frames
        with FakeTensorMode():  # shapes alone
            condition = condition_of(preset)
            noisy = condition.extrapolated_latent
            assert noisy is not None
            context, own = merge_net.build(preset.autoencoder.stride)(noisy, condition)
        size = noisy.shape[-2:]
        assert context.shape == (1, merge_net.context_channels, *size), variant
        assert own.shape == (1, lead, merge_net.own_channels, *size), variant


@pytest.fixture(scope="module")
def archives(storm_archive: Callable[[int], Path]) -> tuple[Path, Path]:
    return storm_archive(1), storm_archive(2)


@pytest.fixture(scope="module")
def trained(
    archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Preset], Path]:
    """The run of a preset's autoencoder, which many variants share."""
    runs: dict[str, Path] = {}

    def run(preset: Preset) -> Path:
        key = preset.scaling.model_dump_json() + preset.autoencoder.model_dump_json()
        if key not in runs:
            runs[key] = tmp_path_factory.mktemp("autoencoder")
            train_autoencoder(preset, archives[:1], archives[1:], runs[key])
        return runs[key]

    return run


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(variant, id=str(variant), marks=() if variant in QUICK else pytest.mark.slow)
        for variant in ACCEPTED
    ],
)
def test_a_variant_that_is_read_trains_a_step_and_forecasts(
    variant: Variant, archives: tuple[Path, Path], trained: Callable[[Preset], Path], tmp_path: Path
) -> None:
    preset = load_preset(variant.preset, scaled_down(variant))
    folder = train_denoiser(preset, archives[:1], archives[1:], trained(preset), tmp_path)
    (observations,) = open_archive(archives[1])
    forecast = Nowcaster.from_pretrained(folder).nowcast(observations[:4], members=2, steps=1)
    rate = forecast["precipitation_rate"]
    assert dict(rate.sizes) == {"member": 2, "lead_time": LEAD, "y": 64, "x": 64}
    assert np.isfinite(rate.values).mean() > 0.5
