"""Products by their definitions, in plain loops or by hand, and what must hold between them."""

import numpy as np
import pytest
import xarray as xr
from small_nowcasts import MINUTE, START, nowcast, random_nowcast

from ssldm.errors import ConfigurationError, ObservationError


def column(*members: list[float], step: int = 15) -> xr.Dataset:
    """A nowcast of one pixel, a list of rates for each member."""
    return nowcast(np.array(members, float)[:, :, None, None], step=step)


def values(product: xr.DataArray) -> np.ndarray:
    return product.values.squeeze()


def test_amounts_by_hand() -> None:
    forecast = column([4.0, 8.0, 0.0, 2.0, 6.0], [0.0, 0.0, 12.0, np.nan, 4.0])
    amount = forecast.ssldm.accumulation("30min")
    assert amount.attrs["units"] == "mm"
    np.testing.assert_allclose(
        values(amount), [[np.nan, 3.0, 2.0, 0.5, 2.0], [np.nan, 0.0, 3.0, np.nan, np.nan]]
    )
    np.testing.assert_allclose(values(amount["known_share"]), [0.5, 1.0, 1.0, 0.5, 0.5])
    # With half a period known, the rest of it is as wet.
    half = forecast.ssldm.accumulation("30min", least_share=0.5)
    np.testing.assert_allclose(values(half), [[2.0, 3.0, 2.0, 0.5, 2.0], [0.0, 0.0, 3.0, 6.0, 2.0]])


def test_amounts_of_periods_that_began_before_the_forecast() -> None:
    forecast = column([4.0, 8.0], [0.0, 0.0])
    observed = xr.DataArray(
        np.array([99.0, 2.0, 6.0]).reshape(3, 1, 1),
        dims=("time", "y", "x"),
        coords={"time": START + np.array([-30, -15, 0]) * MINUTE, "y": forecast["y"], "x": forecast["x"]},
    )
    amount = forecast.ssldm.accumulation("45min", observations=observed)
    np.testing.assert_allclose(values(amount), [[3.0, 4.5], [2.0, 1.5]])
    # A frame that was not observed is not known.
    fewer = forecast.ssldm.accumulation("45min", observations=observed.isel(time=[0, 2]))
    np.testing.assert_allclose(values(fewer), [[np.nan, 4.5], [np.nan, 1.5]])
    with pytest.raises(ObservationError, match="another x"):
        forecast.ssldm.accumulation("45min", observations=observed.assign_coords(x=[7.0]))
    with pytest.raises(ObservationError, match="over x, y: join them before"):
        forecast.isel(x=0, y=0).ssldm.joined(observed)


def test_of_a_period_longer_than_the_forecast_the_known_part_stands_for_it() -> None:
    forecast = column([4.0, 8.0, 0.0], [0.0, 2.0, 1.0])
    for period, steps in (("90min", 6), ("180min", 12)):
        assert np.isnan(values(forecast.ssldm.accumulation(period))).all()
        amount = forecast.ssldm.accumulation(period, least_share=0.0)
        hours = steps / 4
        np.testing.assert_allclose(values(amount), hours * np.array([[4.0, 6.0, 4.0], [0.0, 1.0, 1.0]]))
        np.testing.assert_allclose(values(amount["known_share"]), [1 / steps, 2 / steps, 3 / steps])


def test_amounts_add_up(forecast: xr.Dataset) -> None:
    hour, half = forecast.ssldm.accumulation("60min"), forecast.ssldm.accumulation("30min")
    for end in (3, 5, 7):
        total = half.isel(lead_time=end) + half.isel(lead_time=end - 2).values
        np.testing.assert_allclose(hour.isel(lead_time=end), total, rtol=1e-5)


def test_probabilities_by_hand_and_equal_to_is_enough() -> None:
    forecast = column([1.0, 2.0], [2.0, 0.0], [3.0, np.nan], [0.0, 0.0])
    np.testing.assert_allclose(values(forecast.ssldm.exceedance_probability(2.0)), [0.5, np.nan])
    amount = forecast.ssldm.exceedance_probability(0.5, period="15min")
    np.testing.assert_allclose(values(amount), [0.5, np.nan])
    assert (
        amount.attrs["long_name"]
        == "probability of at least 0.5 mm of rain of the 15 min until the lead time"
    )


def test_quantiles_and_probabilities_agree(forecast: xr.Dataset) -> None:
    """The q-quantile is exceeded with the probability 1 - q, but for what lies between two members."""
    for q in (0.0, 0.25, 0.5, 0.75):
        level = forecast.ssldm.quantile(q)
        wet = level > 0.0
        rate = forecast["precipitation_rate"]
        share = (rate >= level).where(rate.notnull()).mean("member", skipna=False)
        assert float((share - (1.0 - q)).where(wet & level.notnull()).min()) >= -1e-6
    np.testing.assert_array_equal(forecast.ssldm.quantile(1.0), rate.max("member", skipna=False))
    many = forecast.ssldm.quantile([0.1, 0.5], period="30min")
    assert many.dims == ("quantile", "lead_time", "y", "x")
    np.testing.assert_array_equal(np.isnan(many.isel(quantile=0)), np.isnan(many.isel(quantile=1)))


def test_neighbourhoods_pixel_by_pixel(forecast: xr.Dataset) -> None:
    rate = forecast["precipitation_rate"].values
    members, leads, height, width = rate.shape
    mean, anywhere = (
        forecast.ssldm.exceedance_probability(2.0, neighbourhood=2_300, within=within).values
        for within in ("mean", "anywhere")
    )
    for t in range(leads):
        for i in range(height):
            for j in range(width):
                if np.isnan(rate[:, t, i, j]).any():
                    assert np.isnan(mean[t, i, j])
                    assert np.isnan(anywhere[t, i, j])
                    continue
                near = [
                    (a, b)
                    for a in range(height)
                    for b in range(width)
                    if np.hypot(a - i, b - j) <= 2.3 and not np.isnan(rate[0, t, a, b])
                ]
                wet = np.array([[rate[m, t, a, b] >= 2.0 for a, b in near] for m in range(members)])
                assert mean[t, i, j] == pytest.approx(wet.mean(), abs=1e-6)
                assert anywhere[t, i, j] == pytest.approx(wet.any(axis=1).mean(), abs=1e-6)


def test_a_neighbourhood_of_nothing_is_the_pixel(forecast: xr.Dataset) -> None:
    alone = forecast.ssldm.exceedance_probability(2.0)
    for within in ("mean", "anywhere"):
        found = forecast.ssldm.exceedance_probability(2.0, neighbourhood=0, within=within)
        np.testing.assert_allclose(found, alone)


def test_the_matched_mean_has_the_ranks_of_the_mean_and_the_rates_of_members(forecast: xr.Dataset) -> None:
    matched, mean = forecast.ssldm.probability_matched_mean(), forecast.ssldm.mean()
    rate = forecast["precipitation_rate"]
    for t in range(rate.sizes["lead_time"]):
        one, other = matched.isel(lead_time=t).values, mean.isel(lead_time=t).values
        known = np.isfinite(other)
        np.testing.assert_array_equal(np.isfinite(one), known)
        kept = sorted(rate.isel(lead_time=t).values[:, known].ravel())[2::5]
        np.testing.assert_array_equal(np.sort(one[known]), kept)
        order = np.argsort(other[known], kind="stable")
        assert (np.diff(one[known][order]) >= 0.0).all()
    alike = nowcast(np.repeat(rate.values[:1], 5, axis=0))
    np.testing.assert_allclose(alike.ssldm.probability_matched_mean(), rate.values[0], rtol=1e-6)


def test_arrival_and_end_by_hand() -> None:
    forecast = column(
        [0.0, 3.0, 0.0, 0.0],  # comes after 30 min, over after 45
        [3.0, 0.0, 3.0, 0.0],  # 15, 60
        [0.0, 0.0, 0.0, 3.0],  # 60, not known
        [0.0, 0.0, 0.0, 1.0],  # never
    )
    found = forecast.ssldm.arrival_time(2.0, probabilities=[0.25, 0.5, 0.75, 1.0])
    assert values(found["arrival_probability"]) == pytest.approx(0.75)

    def minutes(name: str) -> list[float]:
        times = found[name].values.squeeze()
        return [float("nan") if np.isnat(time) else time / MINUTE for time in times]

    np.testing.assert_equal(minutes("arrival_time"), [15.0, 30.0, 60.0, np.nan])
    # Of the three in which it comes.
    np.testing.assert_equal(minutes("end_time"), [45.0, 60.0, np.nan, np.nan])


def test_arrival_is_not_known_where_a_frame_is_not_forecast(forecast: xr.Dataset) -> None:
    found = forecast.ssldm.arrival_time(1.0)
    assert found["arrival_time"].dims == ("probability", "y", "x")
    assert np.isnan(found["arrival_probability"].values[0, 0])
    assert np.isnat(found["arrival_time"].values[:, 0, 0]).all()
    wet = (forecast["precipitation_rate"] >= 1.0).any("lead_time").mean("member").values
    wet[0, 0] = np.nan
    np.testing.assert_allclose(found["arrival_probability"], wet)


def test_scenarios_are_the_clusters_that_there_are() -> None:
    rng = np.random.default_rng(0)
    north, south = np.zeros((2, 4, 40, 40))
    north[:, :15], south[:, 25:] = 8.0, 8.0
    rate = np.stack(
        [kind * rng.lognormal(0.0, 0.2, kind.shape) for kind in (north, south, south, north, south)]
    )
    rate[:, :, :, 0] = np.nan
    found = nowcast(rate).ssldm.scenarios(2)
    np.testing.assert_allclose(found["weight"], [0.6, 0.4])
    assert found["scenario_of_member"].values.tolist() == [2, 1, 1, 2, 1]
    for shown, member in enumerate(found["member"].values):
        np.testing.assert_array_equal(found["precipitation_rate"][shown], rate[member].astype(np.float32))
    everything = nowcast(rate).ssldm.scenarios(5)
    assert sorted(everything["member"].values.tolist()) == [0, 1, 2, 3, 4]
    assert float(everything["weight"].sum()) == pytest.approx(1.0)
    assert nowcast(rate).ssldm.scenarios(1)["weight"].values.tolist() == [1.0]


def test_lazy_nowcasts_give_the_same_lazily() -> None:
    forecast = random_nowcast(4, 6, 12, 9)
    lazy = forecast.chunk({"member": 1, "lead_time": 2, "y": 5})
    asked = {
        "mean": (),
        "quantile": ([0.1, 0.9],),
        "probability_matched_mean": (),
        "accumulation": ("30min",),
        "exceedance_probability": (2.0,),
    }
    for name, arguments in asked.items():
        found = getattr(lazy.ssldm, name)(*arguments)
        assert found.chunks, name
        xr.testing.assert_allclose(found.compute(), getattr(forecast.ssldm, name)(*arguments))
    around = lazy.ssldm.exceedance_probability(1.0, period="30min", neighbourhood=2000)
    assert around.chunks
    xr.testing.assert_allclose(
        around.compute(), forecast.ssldm.exceedance_probability(1.0, period="30min", neighbourhood=2000)
    )
    xr.testing.assert_equal(lazy.ssldm.arrival_time(1.0).compute(), forecast.ssldm.arrival_time(1.0))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda f: f.accumulation("20min"), "whole time steps of 15 min, found '20min'"),
        (lambda f: f.accumulation("soon"), "a period such as '60min'"),
        (lambda f: f.accumulation("-30min"), "a period of whole time steps"),
        (lambda f: f.accumulation("30min", least_share=1.5), "a share from 0 to 1"),
        (lambda f: f.quantile(50), "probabilities from 0 to 1"),
        (lambda f: f.exceedance_probability(0.0), "threshold in mm/h above 0"),
        (lambda f: f.exceedance_probability(-1, period="30min"), "threshold in mm above 0"),
        (lambda f: f.exceedance_probability(1.0, neighbourhood=-5), "a radius in metres"),
        (lambda f: f.exceedance_probability(1.0, neighbourhood=5, within="near"), "'mean' or 'anywhere'"),
        (lambda f: f.arrival_time("heavy"), "threshold in mm/h above 0"),
        (lambda f: f.scenarios(6), "1 to 5 scenarios, found 6"),
        (lambda f: f.scenarios(0), "1 to 5 scenarios, found 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(forecast: xr.Dataset, ask: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ask(forecast.ssldm)  # type: ignore[operator]


def test_uneven_lead_times_have_no_amounts(forecast: xr.Dataset) -> None:
    with pytest.raises(ObservationError, match="evenly spaced lead times, found 15, 30, 60 min"):
        forecast.isel(lead_time=[0, 1, 3]).ssldm.accumulation("30min")
