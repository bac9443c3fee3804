"""From archives to a pack, from a pack to a prior that has learned something."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from storm_models import untrained_storm_model

from ssldm.errors import ObservationError
from ssldm.forecast.condition import carry_context
from ssldm.forecast.weights_folder import read_weights
from ssldm.model.storm_model import StormModel
from ssldm.radar.motion import SPACING
from ssldm.radar.simulation import simulate
from ssldm.training.pack import PackConfig, build_pack
from ssldm.training.packed_series import PackedSeries, rates_of_codes, read_pack, to_codes
from ssldm.training.packed_windows import PackedWindows
from ssldm.training.prior_fit import fit_prior, measure_latents, prior_windows
from ssldm.training.prior_module import (
    PriorModule,
    crps_of_differences,
    crps_of_means,
    fair_crps,
    turned,
)
from ssldm.training.prior_preset import PriorTraining
from ssldm.training.series import _shared_words

FRAMES = {"context": 4, "lead": 8}
CPU = torch.device("cpu")


def tiny_storm_model() -> StormModel:
    return untrained_storm_model(8)


@pytest.fixture(scope="module")
def storms() -> list[xr.DataArray]:
    storms = [simulate(14, (192, 208), seed=seed) for seed in (1, 2)]
    storms[0].attrs["product"] = "smooth"
    coarse = storms[1].copy(
        data=np.select([storms[1] > 4, storms[1] > 1], [8.0, 2.0], 0.0).astype(np.float32)
    )
    coarse[:, :30, :40] = np.nan
    coarse.attrs["product"] = "classes"
    return [storms[0], coarse]


@pytest.fixture(scope="module")
def pack(storms: list[xr.DataArray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pack") / "train.pack"
    build_pack(storms, out, PackConfig(lead=8, least_lead=8, openings=2))
    return out


def test_rain_rates_survive_eight_bits() -> None:
    rate = np.float32([0.0, 0.05, 0.1, 1.0, 7.77, 127.0, np.nan])
    back = rates_of_codes()[to_codes(rate)]
    np.testing.assert_allclose(back[1:-1], rate[1:-1], rtol=0.03)
    assert back[0] == 0.0
    assert np.isnan(back[-1])
    assert to_codes(np.float32([0.04]))[0] in (0, 1)


def test_a_pack_holds_the_frames_and_their_motion(pack: Path, storms: list[xr.DataArray]) -> None:
    smooth, classes = read_pack(pack)
    np.testing.assert_allclose(rates_of_codes()[smooth.codes], storms[0].values, atol=0.06, rtol=0.03)
    assert (smooth.classes, classes.classes) == ((), (0.0, 2.0, 8.0))
    assert len(smooth.openings) == len(smooth.motions) == 2
    assert smooth.motions.shape[1:] == (2, 2, 12, 13)
    assert 1.0 < np.abs(smooth.motions.astype(float)).max() < 20.0


def windows_of(series: list[PackedSeries], products: set[str], **changed: object) -> PackedWindows:
    sizes = {"size": 64, "coarsenings": (1,), "device": CPU} | FRAMES | changed
    return PackedWindows(series, products, **sizes)


def test_windows_are_cut_with_what_lies_around_them(pack: Path, storms: list[xr.DataArray]) -> None:
    series = read_pack(pack)
    windows = windows_of(series, {"smooth"})
    drawn = windows.draw(np.random.default_rng(0), 12)
    assert drawn.observed.shape == (12, 8, 64, 64)
    truth = np.pad(
        rates_of_codes()[to_codes(storms[0].values)], ((0, 0), (150, 150), (150, 150)), constant_values=np.nan
    )
    row, column, side = drawn.region.row, drawn.region.column, drawn.context.shape[-1]
    found = set()
    for context, observed in zip(drawn.context.numpy(), drawn.observed.numpy(), strict=True):
        places = [
            (t, y, x)
            for t in range(4, 11)
            for y in range(150, 279)
            for x in range(150, 295)
            if np.array_equal(truth[t, y, x : x + 64], observed[0, 0])
        ]
        assert len(places) == 1
        (t, y, x), *_ = places
        found.add((y, x))
        top, left = y - row, x - column
        np.testing.assert_array_equal(context, truth[t - 4 : t, top : top + side, left : left + side])
    assert len(found) > 4


def test_the_motion_around_a_window_is_that_of_its_place(pack: Path) -> None:
    (series,) = [each for each in read_pack(pack) if each.product == "smooth"]
    # So many pixels a step as the place has rows and columns.
    y, x = np.meshgrid(*(SPACING * np.arange(n) for n in series.motions.shape[-2:]), indexing="ij")
    ramp = np.broadcast_to(np.stack([x, y]), series.motions.shape).astype(np.float16)
    windows = windows_of([replace(series, motions=ramp)], {"smooth"})
    drawn = windows.draw(np.random.default_rng(0), 6)
    middle = drawn.motions.shape[-1] // 2
    for along_x, along_y in drawn.motions[:, 0]:
        for values, places, axis in ((along_x, ramp.shape[-1], 1), (along_y, ramp.shape[-2], 0)):
            line = values.select(1 - axis, middle)
            first = line[middle] - middle * drawn.spacing
            # Beyond the last place it goes on as there.
            expected = (first + drawn.spacing * torch.arange(len(line))).clamp(0, SPACING * (places - 1))
            torch.testing.assert_close(line, expected, atol=1e-3, rtol=0.0)


def test_the_window_of_a_domain_sees_what_the_domain_shows(pack: Path) -> None:
    """Carrying the context for a window is carrying it for all, and cutting the window out."""
    model, drawn = (
        tiny_storm_model(),
        windows_of(read_pack(pack), {"smooth"}).draw(np.random.default_rng(1), 3),
    )
    context, region = model.above_dry(drawn.context), drawn.region
    part = carry_context(context, drawn.motions, [1, 4], 8, region, drawn.spacing)
    for number in range(3):
        one = slice(number, number + 1)
        whole = carry_context(context[one], drawn.motions[one], [1, 4], 8, spacing=drawn.spacing)
        torch.testing.assert_close(part.extrapolated[one], region.of(whole.extrapolated))
        assert torch.equal(part.observed[one], region.of(whole.observed))


def test_few_rain_rates_are_spread_within_their_classes(pack: Path) -> None:
    windows = windows_of(read_pack(pack), {"classes"})
    rates = windows.draw(np.random.default_rng(0), 8).observed
    wet = rates[rates > 0.0]
    assert len(wet.unique()) > 10
    # Classes meet at 4 mm/h, half way in the logarithm.
    assert 0.9 < float(wet.min())
    assert float(wet.max()) < 17.0


def test_coarsened_windows_are_means_and_move_less(pack: Path, storms: list[xr.DataArray]) -> None:
    fine, coarse = (windows_of(read_pack(pack), {"smooth"}, coarsenings=(c,)) for c in (1, 2))
    mean = storms[0].values.reshape(14, 96, 2, 104, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(rates_of_codes()[coarse.scaled[0].codes], mean, atol=0.06, rtol=0.06)
    torch.testing.assert_close(coarse.scaled[0].motions, fine.scaled[0].motions / 2)
    assert (fine.scaled[0].spacing, coarse.scaled[0].spacing) == (SPACING, SPACING // 2)


@pytest.mark.parametrize("symmetry", range(8))
def test_symmetries_are_eight_and_keep_what_they_turn(symmetry: int) -> None:
    field = torch.arange(9.0).reshape(3, 3)
    images = [turned(field, number) for number in range(8)]
    assert sum(torch.equal(images[symmetry], image) for image in images) == 1
    assert sorted(images[symmetry].flatten().tolist()) == list(range(9))


def test_the_fair_score_does_not_depend_on_the_number_of_members() -> None:
    generator = torch.Generator().manual_seed(0)
    observed = torch.randn(200_000, generator=generator)
    scores = [
        float(fair_crps(torch.randn(count, 200_000, generator=generator), observed).mean())
        for count in (2, 8)
    ]
    # Of a normal distribution that is right: 1 / √π.
    np.testing.assert_allclose(scores, np.pi**-0.5, rtol=0.01)


def test_squares_count_where_all_of_them_is_known() -> None:
    members = torch.zeros(2, 1, 1, 8, 8)
    observed = torch.zeros(1, 1, 8, 8)
    observed[..., :4, :4], observed[..., 4:, 4:] = 1.0, 8.0
    weight = torch.ones(1, 1, 8, 8)
    weight[..., 4, 4] = 0.0
    assert float(crps_of_means(members, observed, weight, (4,))) == pytest.approx(1.0 / 3.0)
    weight[..., 4:, 4:] = 0.0
    assert float(crps_of_means(members, observed, weight, (1,))) == pytest.approx(1.0 / 3.0)


def test_texture_tells_a_smooth_member_from_a_rough_one() -> None:
    rough = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    weight = torch.ones_like(rough)
    smooth = rough.mean() * weight
    assert float(crps_of_differences(torch.stack([rough, rough]), rough, weight, 3)) == 0.0
    assert float(crps_of_differences(torch.stack([smooth, smooth]), rough, weight, 3)) > 0.2


def test_training_lowers_the_score_and_leaves_the_autoencoder_as_it_is(pack: Path, tmp_path: Path) -> None:
    config = PriorTraining(
        size=64, coarsenings=(1,), leads=3, scales=(1, 4), levels=2, error_batches=2,
        optimisation={"steps": 30, "steps_per_epoch": 15, "validate_epochs": 2, "batch_size": 2,
                      "learning_rate": 5e-3, "warmup_steps": 2, "ema_decay": 0.8, "precision": "32-true"},
    )  # fmt: skip
    torch.manual_seed(0)
    model = tiny_storm_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    series = read_pack(pack)
    fresh = PriorModule(model, config, windows_of(series, {"smooth"}), None)
    untrained = loss_of(fresh)
    windows = prior_windows(model, config, series, ["classes"], CPU)
    measure_latents(model, windows.train, seed=0)
    before["latent_std"] = model.latent_std.clone()
    folder = fit_prior(model, config, windows, tmp_path / "run")
    trained = PriorModule(model, config, windows_of(series, {"smooth"}), None)
    assert loss_of(trained) < 0.95 * untrained
    written = read_weights(folder)
    for name, value in model.state_dict().items():
        assert torch.equal(written[name], value), name
        if not name.startswith("prior."):
            assert torch.equal(value, before[name]), name
    assert "val/crps" in (tmp_path / "run" / "log" / "version_0" / "metrics.csv").read_text()


def test_latents_are_measured_to_have_unit_deviation(pack: Path) -> None:
    model = tiny_storm_model()
    windows = windows_of(read_pack(pack), {"smooth"})
    measure_latents(model, windows, seed=0)
    frames = windows.draw(np.random.default_rng(1), 8).observed[:, ::4].flatten(0, 1)
    latents, _ = model.autoencoder.encode(model.config.scaling.to_network(frames)[:, None])
    deviation = (latents / model.latent_std[:, None, None]).std(dim=(0, 2, 3))
    # Other windows are drawn.
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=0.4, rtol=0.0)


def test_what_is_no_pack_is_refused(pack: Path, tmp_path: Path) -> None:
    content = pack.read_bytes()
    for damaged in (
        b"",
        b"abc",
        content[:200],
        content[: len(content) // 2],
        content[:8] + b"[" + content[9:],
    ):
        (tmp_path / "a.pack").write_bytes(damaged)
        with pytest.raises(ObservationError, match="not a pack, or a damaged one"):
            read_pack(tmp_path / "a.pack")
    with pytest.raises(ObservationError, match="expected a regular file"):
        read_pack(tmp_path)


def test_windows_that_do_not_fit_are_refused(pack: Path) -> None:
    with pytest.raises(ObservationError, match="expected windows of 256×256 pixels of smooth"):
        windows_of(read_pack(pack), {"smooth"}, size=256)


def test_the_radars_of_an_archive_count_as_one_product() -> None:
    names = [f"Rain classes of the radar {radar}, of a storm" for radar in ("A", "B")]
    assert _shared_words(names) == "Rain classes of the radar"
    assert _shared_words(["Rain classes"]) == "Rain classes"
    assert _shared_words(["Rain", "Snow"]) == ""


@torch.no_grad()
def loss_of(module: PriorModule) -> float:
    """Of some fixed steps."""
    losses = []
    for step in range(4):
        module.log_dict = lambda *_, **__: None
        losses.append(float(module.loss_at(step)))
    return float(np.mean(losses))
