"""Members around what is expected: pairs, seeds, parts, and what is never made up."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
import xarray as xr
from storm_models import untrained_storm_model
from torch.utils._python_dispatch import TorchDispatchMode

from ssldm.errors import ObservationError
from ssldm.forecast.dataset import open_nowcast, write_nowcast
from ssldm.forecast.extent import observed_extent
from ssldm.forecast.noise import StormNoise
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.storm_ensemble import StormEnsemble
from ssldm.model.storm_model import StormModel
from ssldm.model.storm_noise import StormNoiseConfig
from ssldm.radar.motion import SPACING


def storm_model(**changed: object) -> StormModel:
    """A small model with a prior that says something, if nothing learned."""
    torch.manual_seed(0)
    model = untrained_storm_model(6, **changed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return model


@pytest.fixture(scope="module")
def nowcaster() -> Nowcaster:
    return Nowcaster(storm_model(), "tiny storm", device="cpu")


def rate(forecast: xr.Dataset) -> np.ndarray:
    return forecast["precipitation_rate"].values


def test_a_member_depends_on_seed_and_number_alone(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    few, many = (rate(nowcaster.nowcast(storm, members=count, seed=7)) for count in (3, 6))
    np.testing.assert_array_equal(few, many[:3])
    assert not np.array_equal(rate(nowcaster.nowcast(storm, members=1, seed=8)), few[:1], equal_nan=True)
    assert len({member.tobytes() for member in many}) == 6


def test_a_shorter_forecast_is_the_beginning_of_a_longer(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    short, long = (rate(nowcaster.nowcast(storm, members=2, lead_time=t)) for t in ("10min", "30min"))
    np.testing.assert_allclose(short, long[:, :2], atol=1e-4)


def test_pairs_have_opposite_noise(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    model = nowcaster.model
    assert isinstance(model, StormModel)
    forecast = nowcaster.nowcast(storm, members=4)
    assert forecast["noise_pair"].values.tolist() == [0, 0, 1, 1]
    first, second, third, _ = (model.above_dry(torch.from_numpy(each)) for each in rate(forecast))
    wet = (first > 0.2) & (second > 0.2) & (third > 0.2)
    assert int(wet.sum()) > 100
    # Above dry nothing is cut off: the mean of a pair is what is expected, whatever the noise.
    apart = (first - second)[wet]
    assert float(apart.std()) > 0.01
    middle = 0.5 * (first + second)
    assert float((middle - third)[wet].std()) > 0.1 * float(apart.std())


@pytest.mark.parametrize("band", [0, 1])
def test_members_are_as_far_apart_as_the_prior_says(band: int) -> None:
    """Half of what the members of a pair are apart has the variance of their noise."""
    model = storm_model()
    with torch.no_grad():
        model.prior.log_deviation.fill_(-20.0)
        model.prior.log_deviation[:, band] = -2.0  # weak enough for no member to be cut off at dry
        model.prior.displacement.fill_(-20.0)
    rain = 6.0 + 30.0 * np.random.default_rng(0).random((4, 96, 96), np.float32)
    ensemble = StormEnsemble(model, rain, 1, np.zeros((2, 2, 7, 7), np.float32))
    pairs = [model.above_dry(ensemble.pair_on_device(number, seed=0)[:, 0]) for number in range(20)]
    found = torch.stack([0.5 * (first - second) for first, second in pairs]).square().mean()
    variance = ensemble.outlook.log_deviation[0, 0, band, 1:-1, 1:-1].exp().square().mean()
    assert float(found) == pytest.approx(float(variance), rel=0.1)


def test_nan_stands_where_nothing_was_observed(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    members = rate(nowcaster.nowcast(storm, members=2))
    unobserved = np.isnan(members)
    assert (unobserved == unobserved[0]).all()
    assert unobserved[:, :, 40:45, 50:60].all()
    assert 0.02 < unobserved.mean() < 0.6


def test_what_no_radar_sees_changes_nothing(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    """A frame of unobserved pixels around a domain is not computed."""
    around = storm.pad(y=(SPACING, 2 * SPACING), x=(2 * SPACING, SPACING), constant_values=np.nan)
    around = around.assign_coords(
        y=storm.y.values[0] + np.arange(around.sizes["y"]) * float(storm.y[1] - storm.y[0]),
        x=storm.x.values[0] + np.arange(around.sizes["x"]) * float(storm.x[1] - storm.x[0]),
    )
    extent = observed_extent(around.values)
    assert (extent.rows.start, extent.columns.start) == (SPACING, 2 * SPACING)
    assert (extent.rows.stop, extent.columns.stop) == (SPACING + 90, 2 * SPACING + 110)
    found = rate(nowcaster.nowcast(around, members=1))
    inside = found[:, :, SPACING : SPACING + 90, 2 * SPACING : 2 * SPACING + 110]
    assert np.isnan(found).sum() - np.isnan(inside).sum() == found.size - inside.size
    alone = rate(nowcaster.nowcast(storm, members=1))
    # Its motion is tracked in a larger picture, so that some pixels at the edge differ.
    assert np.nanmedian(np.abs(inside - alone)) < 0.02


def everywhere(height: int, width: int) -> torch.Tensor:
    return torch.ones(height, width, dtype=torch.bool)


@pytest.fixture(scope="module")
def moving() -> StormNoise:
    context = torch.rand(4, 96, 96, generator=torch.Generator().manual_seed(0))
    motion = torch.tensor([3.0, -1.0])[:, None, None].expand(2, 7, 7)
    return StormNoise(context, motion, [everywhere(12, 12)] * 5, StormNoiseConfig(memory=0.9))


def test_noise_moves_with_the_rain_and_forgets(moving: StormNoise) -> None:
    draws = torch.stack([torch.stack(list(moving.draw(seed))) for seed in range(60)])
    assert draws.shape == (60, 5, 4, 96, 96)

    def correlation(steps: int, shift: tuple[int, int]) -> float:
        there = torch.roll(draws[:, 0], shift, dims=(-1, -2))
        return float((there * draws[:, steps]).mean() / draws.square().mean())

    assert correlation(1, (3, -1)) == pytest.approx(0.9, abs=0.03)
    assert correlation(4, (12, -4)) == pytest.approx(0.9**4, abs=0.03)
    assert abs(correlation(4, (0, 0))) < 0.3


def test_noise_of_parts_is_seamless_and_has_unit_variance() -> None:
    """One white field lies below all parts of a large domain."""
    generator = torch.Generator().manual_seed(0)
    context = torch.rand(4, 300, 520, generator=generator)
    noise = StormNoise(context, torch.zeros(2, 20, 34), [everywhere(75, 130)], StormNoiseConfig())
    assert len(noise.parts) > 2
    draws = torch.stack([next(noise.draw(seed))[:3] for seed in range(60)])
    variance = draws.square().mean(dim=(0, 2))
    assert 0.75 < float(variance.min())
    assert float(variance.max()) < 1.3
    steps = draws.diff(dim=-1).square().mean(dim=(0, 2))
    assert float(steps.max()) < 1.5 * float(steps.mean(dim=-1).max())


def test_noise_that_is_not_asked_for_is_not_made_and_changes_nothing() -> None:
    context = torch.rand(4, 320, 520, generator=torch.Generator().manual_seed(0))
    motion = torch.full((2, 21, 34), 2.5)
    some = torch.zeros(40, 65, dtype=torch.bool)
    some[3:9, 30:33] = True
    at_pixels = some.repeat_interleave(8, dim=0).repeat_interleave(8, dim=1)
    config = StormNoiseConfig()
    whole = StormNoise(context, motion, [everywhere(40, 65)] * 3, config)
    part = StormNoise(context, motion, [some, torch.zeros_like(some), some], config)
    assert 0 < len(part.filters) < len(whole.filters)
    for lead, (found, expected) in enumerate(zip(part.draw(3), whole.draw(3), strict=True)):
        if lead == 1:
            assert float(found.abs().max()) == 0.0
        else:
            torch.testing.assert_close(found[:, at_pixels], expected[:, at_pixels])


@pytest.fixture(scope="module")
def far() -> np.ndarray:
    """A shower at one end of a domain that is dry otherwise, ``(t, h, w)`` in mm/h."""
    context = np.zeros((4, 200, 600), np.float32)
    context[:, 80:120, 40:80] = 5.0
    return context


def test_beyond_the_reach_of_rain_members_are_dry_without_being_computed(far: np.ndarray) -> None:
    model = storm_model()
    with torch.no_grad():
        model.prior.log_deviation.fill_(0.0)  # rain anywhere, were there noise
    still = np.zeros((2, 2, 14, 39), np.float32)
    ensemble = StormEnsemble(model, far, 2, still)
    assert [len(squares) for squares in ensemble.outlook.squares] == [1, 1]  # of three each
    assert 0 < len(ensemble.noise.parts) < 8
    members = ensemble.pair(0, seed=0)
    # At lead frame n rain may have come 8 (n + 1) pixels, in whole blocks.
    for lead, reach in enumerate((16, 24)):
        wet = members[:, lead] > 0.0
        inside = wet[:, 80 - reach : 120 + reach, 40 - reach : 80 + reach]
        assert wet.sum() == inside.sum()
        assert inside[:, :8].any()


def test_the_reach_changes_nothing_within_it(far: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    model, still = storm_model(), np.zeros((2, 2, 14, 39), np.float32)
    found = StormEnsemble(model, far, 2, still).pair(0, seed=0)
    monkeypatch.setattr("ssldm.forecast.outlook._REACH", 400)
    whole = StormEnsemble(model, far, 2, still).pair(0, seed=0)
    # Rain is displaced by 5 pixels at most, also from where the reach ends.
    near = np.s_[:, :, 69:131, 29:91]
    np.testing.assert_allclose(found[near], whole[near], atol=1e-4)
    assert (whole > 0.0).sum() >= (found > 0.0).sum() > 0


def test_extrapolated_rates_are_made_for_post_processing_alone(
    far: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = np.zeros((2, 2, 14, 39), np.float32)
    made: list[int] = []
    monkeypatch.setattr(StormModel, "to_rate", lambda _, x: made.append(1) or x.clamp_min(0.0))
    StormEnsemble(storm_model(), far, 2, still)
    assert made == []
    StormEnsemble(storm_model(postprocess=[{"power": 0.5}]), far, 2, still)
    assert len(made) == 2


class Recorded(TorchDispatchMode):
    """Remembers which operations run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        if self.names[-1] == "index" and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        ):
            self.names.append("nonzero")  # what it does to find out how many there are
        return func(*args, **(kwargs or {}))


# What makes the host wait for an accelerator: sizes or numbers that depend on values.
WAITING = {"item", "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique"}


def test_nothing_in_the_loop_over_members_waits_for_the_device(storm: xr.DataArray) -> None:
    ensemble = StormEnsemble(storm_model(), storm.values, 3)
    with Recorded() as recorded:
        ensemble.pair(0, seed=0)
    assert "fft_irfft2" in recorded.names
    assert not WAITING & set(recorded.names)
    with Recorded() as recorded, torch.inference_mode():
        torch.ones(3).sum().item()
        torch.ones(3)[torch.ones(3) > 0.0].sum()
    assert {"item", "nonzero"} <= set(recorded.names)  # it would be noticed


def test_members_are_made_when_they_are_written(
    nowcaster: Nowcaster, storm: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def on_start(count: int) -> Callable[[], None]:
        assert count == 3
        return lambda: made.append(1)

    copies: list[StormEnsemble] = []

    def copied(ensemble: StormEnsemble) -> NoReturn:
        copies.append(ensemble)
        raise TypeError("an ensemble is not to be pickled")

    monkeypatch.setattr(StormEnsemble, "__reduce__", copied)
    lazy = nowcaster.nowcast(storm, members=5, lazy=True, on_start=on_start)
    assert made == []
    write_nowcast(lazy, tmp_path / "nowcast.nc")
    assert len(made) == 3
    assert copies == []  # not even for a name that dask makes of the content
    whole = nowcaster.nowcast(storm, members=5)
    assert whole["precipitation_rate"].chunks is None
    with open_nowcast(tmp_path / "nowcast.nc") as written:
        np.testing.assert_array_equal(rate(written), rate(whole))


def test_large_members_are_made_in_parts(
    nowcaster: Nowcaster, storm: xr.DataArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nowcaster.nowcast(storm, members=3)
    assert whole.sizes["lead_time"] == 6
    monkeypatch.setattr("ssldm.forecast.members._AT_ONCE", 2 * 4 * storm[0].size)
    made: list[int] = []
    lazy = nowcaster.nowcast(storm, members=3, lazy=True, on_start=lambda _: lambda: made.append(1))
    assert lazy["precipitation_rate"].chunks[:2] == ((2, 1), (4, 2))
    np.testing.assert_array_equal(rate(lazy.isel(lead_time=2)), rate(whole.isel(lead_time=2)))
    assert made == []
    write_nowcast(lazy, tmp_path / "nowcast.nc")
    assert len(made) == 2
    with open_nowcast(tmp_path / "nowcast.nc") as written:
        np.testing.assert_array_equal(rate(written), rate(whole))


def test_members_that_are_yet_to_be_made_are_checked_before_they_are_written(
    nowcaster: Nowcaster, storm: xr.DataArray, tmp_path: Path
) -> None:
    lazy = nowcaster.nowcast(storm, members=2, lazy=True)
    with pytest.raises(ObservationError, match="0 mm/h or more"):
        write_nowcast(lazy.assign(precipitation_rate=lazy.precipitation_rate - 1.0), tmp_path / "nowcast.nc")
    assert list(tmp_path.iterdir()) == []
