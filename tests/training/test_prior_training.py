"""From archives to a pack, from a pack to a prior that has learned something."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.forecast.condition import carry_context
from ssldm.forecast.weights_folder import read_weights
from ssldm.model.storm_model import StormConfig, StormModel
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
    return StormConfig(
        name="tiny storm",
        lead_frames=8,
        scaling={"kind": "power"},
        autoencoder={"kind": "block", "width": 8, "latent_channels": 10},
        prior={"width": 16},
    ).build()


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
    windows = windows_of(read_pack(pack), {"smooth"})
    rng = np.random.default_rng(0)
    drawn = [windows.draw(rng) for _ in range(12)]
    assert len({(each.region.row, each.region.column) for each in drawn}) > 4
    truth = rates_of_codes()[to_codes(storms[0].values)]
    for window in drawn:
        assert window.observed.shape == (8, 64, 64)
        first = window.observed[:1, 0].numpy()
        places = [
            (t, y, x)
            for t in range(4, 11)
            for y in range(129)
            for x in range(145)
            if np.array_equal(truth[t : t + 1, y, x : x + 64], first)
        ]
        assert len(places) == 1
        t, y, x = places[0]
        top, left = y - window.region.row, x - window.region.column
        assert (top % SPACING, left % SPACING) == (0, 0)
        height, width = window.region.domain
        np.testing.assert_array_equal(
            window.context, truth[t - 4 : t, top : top + height, left : left + width]
        )


def test_the_window_of_a_domain_sees_what_the_domain_shows(pack: Path) -> None:
    """Carrying the context for a window is carrying it for all, and cutting the window out."""
    model, window = tiny_storm_model(), windows_of(read_pack(pack), {"smooth"}).draw(np.random.default_rng(1))
    context = model.above_dry(window.context)
    part = carry_context(context, window.motions, [1, 4], 8, window.region, window.spacing)
    whole = carry_context(context, window.motions, [1, 4], 8, spacing=window.spacing)
    rows, columns = (slice(first, first + 64) for first in (window.region.row, window.region.column))
    torch.testing.assert_close(part.extrapolated, whole.extrapolated[..., rows, columns])
    assert torch.equal(part.observed, whole.observed[..., rows, columns])


def test_few_rain_rates_are_spread_within_their_classes(pack: Path) -> None:
    windows = windows_of(read_pack(pack), {"classes"})
    rates = torch.stack([windows.draw(np.random.default_rng(n)).observed for n in range(8)])
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
    drawn = [windows.draw(np.random.default_rng(n)).observed for n in range(8)]
    waves = (
        model.autoencoder.waves(model.above_dry(torch.cat(drawn))[:, None]) / model.latent_std[:, None, None]
    )
    # The latents are fitted from the waves on, and other windows are drawn.
    assert float((waves.std(dim=(0, 2, 3)).log2().abs()).max()) < 1.0


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
