"""Training on simulated storms: presets, resumption, and what comes out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import randomise

from ssldm.errors import ConfigurationError, ModelError, ObservationError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.unet_forecaster import UNetForecaster
from ssldm.forecast.weights_folder import read_weights
from ssldm.model.latent_diffusion import ModelConfig
from ssldm.model.precision import has_fast_bfloat16
from ssldm.radar.splits import check_disjoint
from ssldm.training.adversary import Adversary, AdversaryConfig
from ssldm.training.denoiser_module import DenoiserModule
from ssldm.training.optimisation import precision_of
from ssldm.training.preset import load_preset
from ssldm.training.preset_file import PRESETS
from ssldm.training.run import train_autoencoder, train_denoiser, train_unet
from ssldm.training.series import open_splits
from ssldm.verification.perceptual import LPIPS, Perceptual


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built(name: str) -> None:
    preset = load_preset(name)
    with torch.device("meta"):
        denoiser = preset.denoiser.build()
    preset.autoencoder.build()
    assert preset.window.size % (preset.autoencoder.stride * preset.denoiser.stride) == 0
    assert denoiser.config.merge_net.context_frames == preset.window.context_frames


def test_the_paper_preset_has_the_published_size() -> None:
    with torch.device("meta"):
        denoiser = load_preset("paper").denoiser.build()
    assert round(sum(p.numel() for p in denoiser.parameters()) / 1e6, 1) == 331.5


def test_misspelt_overrides_are_refused() -> None:
    assert (
        load_preset("tiny", ["denoiser_training.optimisation.steps=3"]).denoiser_training.optimisation.steps
        == 3
    )
    for override, match in [
        ("denoiser.widht=8", "denoiser.widht"),
        ("denoiser.width=many", "denoiser.width"),
        ("autoencoder.widht=8", "autoencoder.widht"),
        ("autoencoder={kind: block, widht: 8}", "autoencoder.widht"),
        ("denoiser.width", "key=value"),
        ("window.size.of=3", "not a section"),
        ("window.coarsenings=[1.2]", "window.coarsenings"),
    ]:
        with pytest.raises(ConfigurationError, match=match):
            load_preset("tiny", [override])
    with pytest.raises(ConfigurationError, match="expected a preset"):
        load_preset("gigantic")
    block = "autoencoder={kind: block, latent_channels: 4}"
    with pytest.raises(ConfigurationError, match=r"needs scaling\.kind=power, found reflectivity"):
        load_preset("tiny", [block, "scaling.kind=reflectivity"])
    with pytest.raises(ConfigurationError, match="turned needs a block autoencoder"):
        load_preset("tiny", ["denoiser_training.turned=true"])
    assert load_preset("tiny", [block, "denoiser_training.turned=true"]).denoiser_training.turned


@pytest.mark.parametrize("side", range(1, 17))
def test_the_pixel_encoder_follows_latent_pixels_that_it_can_halve_to(side: int) -> None:
    block = f"autoencoder={{kind: block, latent_channels: 1, side: {side}, patch: {side}, overlap: 0}}"
    merge_net = ["denoiser.merge_net.pixels=encoder", "denoiser.merge_net.latent_channels=1"]
    sizes = [f"window.size={64 * side}", f"autoencoder_training.crop={64 * side}"]
    if side in (1, 2, 4, 8, 16):
        assert load_preset("tiny", [block, *merge_net, *sizes]).autoencoder.stride == side
    else:
        with pytest.raises(
            ConfigurationError, match=rf"autoencoder\.side.*found {side}|found {side}: choose"
        ):
            load_preset("tiny", [block, *merge_net, *sizes])


def test_windows_that_the_unet_cannot_halve_are_refused_before_they_are_read(tmp_path: Path) -> None:
    preset = load_preset("tiny", ["unet.patch=16", "unet.multipliers=[1, 2, 2, 2]"])
    with pytest.raises(ConfigurationError, match="multiple of 128, the stride of unet"):
        train_unet(preset, [tmp_path / "none.zarr"], [], tmp_path / "run")


def test_the_adversary_weighs_as_much_as_the_other_terms_and_learns() -> None:
    torch.manual_seed(0)
    adversary = Adversary(AdversaryConfig(weight=0.5, width=8))
    last = torch.nn.Parameter(torch.tensor(0.3))
    blurred, observed = torch.zeros(4, 1, 32, 32), torch.randn(4, 1, 32, 32)
    first = float(adversary.learn(observed, blurred))
    losses = [float(adversary.learn(observed, blurred)) for _ in range(30)]
    assert losses[-1] < 0.5 * first  # it tells noise from nothing
    others = (3.0 * last) ** 2
    term = adversary.term(last * observed, others, last)
    gradients = [torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (others, term)]
    assert float(abs(gradients[1])) == pytest.approx(0.5 * float(abs(gradients[0])), rel=0.05)
    assert all(parameter.requires_grad for parameter in adversary.parameters())


def test_lpips_in_the_loss_has_gradients(networks: Perceptual) -> None:
    distance = LPIPS(networks.lpips)
    one, other = torch.zeros(2, 1, 32, 32), torch.full((2, 1, 32, 32), 0.5, requires_grad=True)
    value = distance(one, other)
    assert float(value.detach()) == pytest.approx(
        (127.5 * 0.5) ** 2, rel=1e-4
    )  # means differ, spread does not
    (gradient,) = torch.autograd.grad(value, other)
    assert gradient.abs().sum() > 0
    assert float(distance(one, one)) == 0.0


def test_training_with_lpips_needs_its_network(
    storm_archive: Callable[[int], Path], networks: Perceptual, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="lpips_network"):
        load_preset("tiny", ["autoencoder_training.lpips=0.1"])
    overrides = ["autoencoder_training.lpips=1e-4", f"autoencoder_training.lpips_network={networks.lpips}"]
    train_autoencoder(load_preset("tiny", overrides), [storm_archive(1)], [storm_archive(2)], tmp_path / "a")
    columns = (tmp_path / "a" / "log" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert {"train/lpips", "train/intensity", "train/structure", "train/kl"} <= set(columns.split(","))


def train(kind: str, archives: tuple[Path, Path], out: Path, *extra: str) -> list[str]:
    validation = [] if kind == "prior" else ["--validation", str(archives[1])]
    return [
        sys.executable, "-m", "ssldm", "train", kind, "--preset", "tiny",
        "--data", str(archives[0]), *validation, "--out", str(out), *extra,
    ]  # fmt: skip


def tiny_module() -> DenoiserModule:
    preset = load_preset("tiny", ["diffusion.prediction=sample"])
    config = ModelConfig(
        name="tiny",
        lead_frames=4,
        scaling=preset.scaling,
        autoencoder=preset.autoencoder,
        denoiser=preset.denoiser,
        diffusion=preset.diffusion,
    )
    module = DenoiserModule(preset, config.build(), Path())
    module.log = lambda *_: None  # type: ignore[method-assign]
    return module


def loss_of(module: DenoiserModule, latents: torch.Tensor, observed: torch.Tensor) -> float:
    batch = {
        "lead_latent": latents,
        "context_latent": torch.ones_like(latents),
        "extrapolated_latent": torch.ones_like(latents),
        "extrapolated_coverage": torch.ones_like(observed),
        "lead_observed": observed,
    }
    return module.training_step(batch, 0).item()


def test_frames_that_a_window_lacks_have_no_say_in_its_loss() -> None:
    module = tiny_module()
    generator = torch.Generator().manual_seed(0)
    for parameter in module.model.denoiser.parameters():  # untrained, its output would be zero
        parameter.data.normal_(std=0.05, generator=generator)
    latents = torch.randn(2, 4, 4, 8, 8, generator=generator)
    observed = torch.ones(2, 4, 1, 8, 8)
    observed[:, 2:] = 0.0
    other = latents.clone()
    other[:, 2:] = 100.0
    assert loss_of(module, latents, observed) == loss_of(module, other, observed)
    other[:, 1] += 0.1
    assert loss_of(module, latents, observed) != loss_of(module, other, observed)


def test_a_validation_samples_as_a_forecast_does(
    storm_archive: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssldm.radar.archive import open_archive

    monkeypatch.setattr("ssldm.forecast.nowcaster.has_fast_bfloat16", lambda _: False)
    (observations,) = open_archive(storm_archive(1))
    module, context = tiny_module(), observations[:4].load()
    randomise(module.model.denoiser)
    with torch.no_grad():
        validated = module._members(context.values)
    forecast = Nowcaster(module.model, "tiny", device="cpu").nowcast(
        context,
        members=module.preset.denoiser_training.validation_members,
        steps=module.preset.denoiser_training.validation_steps,
    )
    found = forecast["precipitation_rate"].values
    known = np.isfinite(found)
    assert known.mean() > 0.5
    np.testing.assert_allclose(found[known], validated[known], rtol=1e-3, atol=1e-3)


def kill_after_first_checkpoint(command: list[str], out: Path) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "last.ckpt").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "training ended before its first checkpoint"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("kind", ["autoencoder", "adversarial autoencoder", "denoiser", "prior", "unet"])
def test_training_killed_and_resumed_ends_with_the_same_weights(
    kind: str, storm_archive: Callable[[int], Path], tmp_path: Path
) -> None:
    archives = storm_archive(1), storm_archive(2)
    extra: list[str] = []
    if kind.startswith("adversarial"):
        kind = "autoencoder"
        extra += [f"autoencoder_training.adversary.{value}" for value in ("weight=1", "start=1", "width=8")]
    extra += [f"{kind}_training.optimisation.steps=16"]
    if kind == "denoiser":
        train_autoencoder(load_preset("tiny"), archives[:1], archives[1:], tmp_path / "autoencoder")
        extra += ["--autoencoder", str(tmp_path / "autoencoder")]
    if kind == "prior":
        block = "autoencoder={kind: block, latent_channels: 4, width: 8, fit_steps: 4}"
        train_autoencoder(load_preset("tiny", [block]), archives[:1], archives[1:], tmp_path / "autoencoder")
        extra += ["--autoencoder", str(tmp_path / "autoencoder"), block]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(train(kind, archives, whole, *extra), check=True, capture_output=True)
    kill_after_first_checkpoint(train(kind, archives, broken, *extra), broken)
    step = torch.load(broken / "last.ckpt", weights_only=False)["global_step"]
    assert 0 < step < 16
    subprocess.run(train(kind, archives, broken, "--resume", *extra), check=True, capture_output=True)
    expected, found = read_weights(whole / "model"), read_weights(broken / "model")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_a_trained_model_forecasts(storm_archive: Callable[[int], Path], tmp_path: Path) -> None:
    from ssldm.radar.archive import open_archive

    preset, archives, held = load_preset("tiny"), [storm_archive(1)], [storm_archive(2)]
    train_autoencoder(preset, archives, held, tmp_path / "a")
    folder = train_denoiser(preset, archives, held, tmp_path / "a", tmp_path / "d")
    assert list((tmp_path / "d" / "pictures").glob("*.png"))
    (observations,) = open_archive(storm_archive(2))
    forecast = Nowcaster.from_pretrained(folder).nowcast(observations[:4], members=2, steps=2)
    assert dict(forecast.sizes) == {"member": 2, "lead_time": 4, "y": 64, "x": 64}
    with pytest.raises(ConfigurationError, match="holds a run already"):
        train_autoencoder(preset, archives, held, tmp_path / "a")
    with pytest.raises(ConfigurationError, match="found none at"):
        train_autoencoder(preset, archives, held, tmp_path / "new", resume=True)
    with pytest.raises(ModelError, match="not a model's configuration"):
        train_denoiser(preset, archives, held, tmp_path / "d", tmp_path / "other")
    wide = load_preset("tiny", ["autoencoder.width=16"])
    with pytest.raises(ConfigurationError, match="not the preset's"):
        train_denoiser(wide, archives, held, tmp_path / "a", tmp_path / "other")


def test_a_stacked_denoiser_is_trained_and_forecasts_alike(
    storm_archive: Callable[[int], Path], tmp_path: Path
) -> None:
    from ssldm.radar.archive import open_archive

    merge_net = "{context_frames: 4, latent_channels: 4, extrapolation: true}"
    override = (
        f"denoiser={{kind: stacked, merge_net: {merge_net}, lead_frames: 4, width: 32, multipliers: [1]}}"
    )
    preset, archives, held = load_preset("tiny", [override]), [storm_archive(1)], [storm_archive(2)]
    train_autoencoder(preset, archives, held, tmp_path / "a")
    folder = train_denoiser(preset, archives, held, tmp_path / "a", tmp_path / "d")
    (observations,) = open_archive(storm_archive(2))
    forecast = Nowcaster.from_pretrained(folder).nowcast(observations[:4], members=2, steps=2)
    assert dict(forecast.sizes) == {"member": 2, "lead_time": 4, "y": 64, "x": 64}


def test_a_block_autoencoder_with_an_adversary_and_turned_latents_carry_a_forecast(
    storm_archive: Callable[[int], Path], tmp_path: Path
) -> None:
    from ssldm.radar.archive import open_archive

    overrides = [
        "autoencoder={kind: block, latent_channels: 4, width: 8, blocks: 1}",
        *(f"autoencoder_training.adversary.{value}" for value in ("weight=1", "start=1", "width=8")),
        "denoiser_training.turned=true",
    ]
    preset, archives, held = load_preset("tiny", overrides), [storm_archive(1)], [storm_archive(2)]
    train_autoencoder(preset, archives, held, tmp_path / "a")
    folder = train_denoiser(preset, archives, held, tmp_path / "a", tmp_path / "d")
    (observations,) = open_archive(storm_archive(2))
    forecast = Nowcaster.from_pretrained(folder).nowcast(observations[:4], members=2, steps=2)
    assert dict(forecast.sizes) == {"member": 2, "lead_time": 4, "y": 64, "x": 64}


def test_a_trained_unet_forecasts_any_size(storm_archive: Callable[[int], Path], tmp_path: Path) -> None:
    from ssldm.radar.simulation import simulate

    folder = train_unet(load_preset("tiny"), [storm_archive(1)], [storm_archive(2)], tmp_path / "u")
    storm = simulate(4, (50, 70), seed=3)
    storm[:, :5] = np.nan
    forecast = UNetForecaster.from_pretrained(folder).forecast(storm)
    assert forecast.shape == (1, 4, 50, 70)
    assert np.isnan(forecast[..., :5, :]).all()
    assert (forecast[..., 5:, :] >= 0.0).all()
    with pytest.raises(ObservationError, match="at least 4 frames"):
        UNetForecaster.from_pretrained(folder).forecast(storm[:3])
    with pytest.raises(ModelError, match="not a model's configuration"):
        Nowcaster.from_pretrained(folder)


def test_precision_suits_the_machine() -> None:
    optimisation = load_preset("small").unet_training.optimisation
    fast = has_fast_bfloat16(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    assert precision_of(optimisation) == ("bf16-mixed" if fast else "32-true")
    assert precision_of(optimisation.model_copy(update={"precision": "16-mixed"})) == "16-mixed"


def test_what_is_validated_on_was_never_seen(storm_archive: Callable[[int], Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected splits without common frames"):
        open_splits([storm_archive(1)], [storm_archive(1)])
    with pytest.raises(ConfigurationError, match="at least 2 events"):
        open_splits([storm_archive(1)], [])
    train, held = open_splits([storm_archive(1), storm_archive(2)], [], hold_out=0.5)
    assert [len(part) for part in (train, held)] == [1, 1]
    check_disjoint(train, held)


@pytest.mark.parametrize("kind", ["autoencoder", "denoiser"])
def test_corrected_training_runs(kind: str, storm_archive: Callable[[int], Path], tmp_path: Path) -> None:
    preset = load_preset("tiny", ["window.corrected=true"])
    archives = [storm_archive(1)], [storm_archive(2)]
    folder = train_autoencoder(preset, *archives, tmp_path / "a")
    if kind == "denoiser":
        folder = train_denoiser(preset, *archives, tmp_path / "a", tmp_path / "d")
    assert all(np.isfinite(value).all() for value in map(np.asarray, read_weights(folder).values()))
