"""The published checkpoints, in the form that they are published in, become weights that forecast."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from ssldm.errors import ModelError, UnverifiedHeads
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.published import LATENT_SCALE, convert_checkpoints, read_checkpoint
from ssldm.paper.checkpoints import infer_denoiser_config
from ssldm.radar.simulation import simulate


def weights(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith("weights.")]  # noqa: SIM118
        return {name.removeprefix("weights."): file.get_tensor(name) for name in names}


@pytest.fixture
def checkpoints(reference: Path, tmp_path: Path) -> tuple[Path, Path]:
    """`Autoencoder.pth` and `pre.pth` with the reference's weights, the averaged copy off by one."""
    denoiser = weights(reference / "denoiser_latent_and_pixel_encoder.safetensors")
    current = {f"model.{name}": value for name, value in denoiser.items()}
    averaged = {f"model_ema.{name.replace('.', '')}": value + 1.0 for name, value in denoiser.items()}
    torch.save(weights(reference / "autoencoder.safetensors"), tmp_path / "Autoencoder.pth")
    torch.save(current | averaged | {"betas": torch.ones(1000)}, tmp_path / "pre.pth")
    return tmp_path / "Autoencoder.pth", tmp_path / "pre.pth"


def test_published_checkpoints_become_weights_that_forecast(
    checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.warns(UnverifiedHeads, match="4 are taken as asked"):
        current = convert_checkpoints(*checkpoints, tmp_path / "current", spatial_heads=4)
    with pytest.warns(UnverifiedHeads):
        averaged = convert_checkpoints(*checkpoints, tmp_path / "averaged", spatial_heads=4, averaged=True)
    for name, value in current.denoiser.state_dict().items():
        torch.testing.assert_close(averaged.denoiser.state_dict()[name], value + 1.0)
    assert current.latent_std.tolist() == pytest.approx([1.0 / LATENT_SCALE] * 4)
    nowcaster = Nowcaster.from_pretrained(tmp_path / "current", device="cpu")
    storm = simulate(4, (64, 64), pixel_size=2000.0)
    forecast = nowcaster.nowcast(storm, members=1, steps=2, sampler="ddpm")["precipitation_rate"]
    assert forecast.shape == (1, 16, 64, 64)
    assert float(forecast.min()) >= 0.0
    assert np.isfinite(forecast.values).mean() > 0.5


def test_heads_must_divide_the_channels_that_weights_attend_over(
    checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    channels = 32
    for heads in (*range(1, channels + 4), 10**30):
        if channels % heads:
            with pytest.raises(ModelError, match=f"divides the {channels} channels.*found {heads}"):
                convert_checkpoints(*checkpoints, tmp_path / "out", spatial_heads=heads)
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("error::ssldm.errors.UnverifiedHeads")
def test_heads_as_published_are_taken_without_a_warning(
    checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    models = [convert_checkpoints(*checkpoints, tmp_path / str(n), spatial_heads=n) for n in (None, 8)]
    assert models[0].config == models[1].config
    assert models[0].config.denoiser.spatial_heads == 8


def test_temporal_heads_are_those_of_the_weights(reference: Path) -> None:
    published = weights(reference / "denoiser_latent_and_pixel_encoder.safetensors")
    fewer = {
        name: value[:5] if name.endswith("null_attn_bias") else value for name, value in published.items()
    }
    assert [infer_denoiser_config(state, 4).temporal_heads for state in (published, fewer)] == [8, 5]


def test_a_damaged_checkpoint_is_refused_whatever_is_missing(
    checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    autoencoder, denoiser = checkpoints
    whole = {"model": torch.load(denoiser), "autoencoder": torch.load(autoencoder)}
    names = [n for n in whole["model"] if n.startswith("model.") and n.endswith((".0.weight", "q_scale"))]
    for name in names[::20]:
        for other in (torch.tensor(1.0), torch.zeros(0, 3, 3, 3), None):
            broken = whole["model"] | {name: other}
            torch.save({key: value for key, value in broken.items() if value is not None}, tmp_path / "b.pth")
            with pytest.raises(ModelError):
                convert_checkpoints(autoencoder, tmp_path / "b.pth", tmp_path / "out")
    for name in ("encoder.conv_in.weight", "post_quant_conv.weight", "encoder.down.0.block.0.conv1.weight"):
        torch.save(whole["autoencoder"] | {name: torch.zeros(5, 5, 1, 1)}, tmp_path / "b.pth")
        with pytest.raises(ModelError):
            convert_checkpoints(tmp_path / "b.pth", denoiser, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_files_are_refused(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    autoencoder, denoiser = checkpoints
    with pytest.raises(ModelError, match="expected the published autoencoder"):
        convert_checkpoints(denoiser, denoiser, tmp_path / "out")
    with pytest.raises(ModelError, match="expected the published denoiser"):
        convert_checkpoints(autoencoder, autoencoder, tmp_path / "out")
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "pickled.pth")
    with pytest.raises(ModelError, match="not a checkpoint of tensors"):
        read_checkpoint(tmp_path / "pickled.pth")
    with pytest.raises(ModelError, match="found nothing"):
        read_checkpoint(tmp_path / "missing.pth")
    assert not (tmp_path / "out").exists()
