"""Thresholds by name, number, unit and percentile."""

from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError
from ssldm.verification.thresholds import SETS, thresholds


def radar(**attributes: object) -> xr.DataArray:
    return xr.DataArray(np.zeros((1, 2, 2)), dims=("time", "y", "x"), attrs={"product": "p", **attributes})


def rates(text: str, *series: xr.DataArray) -> list[float]:
    return [threshold.rate for threshold in thresholds(text, series or (radar(),), no_quantiles)]


def no_quantiles(_: Sequence[float]) -> list[float | None]:
    raise AssertionError("not asked for percentiles")


def test_numbers_and_sets_in_rising_order_each_rate_once() -> None:
    assert rates("default") == [0.5, 2.0, 8.0]
    assert rates("8,0.5,ldcast") == [0.1, 0.3, 0.5, 1.0, 3.0, 8.0, 10.0, 30.0]
    assert rates("hko7") == [0.5, 2.0, 5.0, 10.0, 30.0]
    assert rates("2mm/h,2") == [2.0]


def test_commas_without_anything_between_are_passed_over() -> None:
    assert rates("0.5,,2,") == [0.5, 2.0]


def test_reflectivity_is_converted_as_the_observations_were() -> None:
    by_hand = [(10 ** (dbz / 10) / 200.0) ** (1 / 1.6) for dbz in (12, 18, 24, 32)]
    assert rates("meteonet") == pytest.approx(by_hand, rel=1e-6)
    swiss = radar(zr_a=316.0, zr_b=1.5)
    assert rates("12dBZ", swiss) == pytest.approx([(10**1.2 / 316.0) ** (1 / 1.5)], rel=1e-6)
    with pytest.raises(ConfigurationError, match="one Z-R relation"):
        rates("12dBZ", swiss, radar())


def test_vertically_integrated_liquid_needs_observations_of_it(sevir_series: xr.DataArray) -> None:
    from ssldm.radar.formats.sevir import liquid_of_byte, rain_of_liquid
    from ssldm.radar.units import ZRRelation

    table = rain_of_liquid(liquid_of_byte(), ZRRelation())
    found = rates("sevir", sevir_series)
    assert found == pytest.approx([table[k] for k in (16, 74, 133, 160, 181, 219)], rel=1e-6)
    assert found == sorted(found)
    with pytest.raises(ConfigurationError, match=r"expected vertically integrated liquid.*found p"):
        rates("sevir")
    with pytest.raises(ConfigurationError, match="pixel value"):
        rates("300VIL", sevir_series)


@pytest.fixture
def sevir_series() -> xr.DataArray:
    from ssldm.radar.formats.sevir import DEPTH

    return radar(vil_depth=DEPTH)


def test_percentiles_are_asked_for_once_and_left_out_where_dry() -> None:
    asked = []

    def quantiles(probabilities: Sequence[float]) -> list[float | None]:
        asked.append(list(probabilities))
        return [None, 7.5]

    found = thresholds("p50,p99.9,2", [radar()], quantiles)
    assert [(t.rate, t.name) for t in found] == [(2.0, "2 mm/h"), (7.5, "p99.9")]
    assert asked == [pytest.approx([0.5, 0.999])]


@pytest.mark.parametrize("text", ["wet", "p", "p0", "p100", "p99dBZ", "-1", "0", "12 dBZ", "", ",,"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        rates(text)


def test_names_say_what_was_asked_for() -> None:
    assert set(SETS) == {"default", "ldcast", "sevir", "hko7", "meteonet"}
    found = thresholds("0.5,12dBZ", [radar()], no_quantiles)
    assert [t.name for t in found] == ["12dBZ", "0.5 mm/h"]
    assert [t.label for t in found] == ["12dBZ (0.205 mm/h)", "0.5 mm/h"]
