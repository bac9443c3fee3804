"""How members look: fields of known objects, stripes, noise, and pixels that do not count."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from ssldm.verification.case import Case
from ssldm.verification.comparison import compare
from ssldm.verification.looks import looks_scores, looks_sums
from ssldm.verification.statistics import Protocol
from ssldm.verification.table import all_scores, tidy_table

LOOKS = ("objects", "object_area", "elongation", "coherence")


def looks(members: np.ndarray, truth: np.ndarray, **of: np.ndarray) -> dict[str, float]:
    sums = looks_sums(Case.of(members, truth, **of))
    return {name: value.item() for name, value in looks_scores(sums.sum("lead_time")).items()}


def looks_of(truth: np.ndarray) -> dict[str, float]:
    """The observed values."""
    found = looks(truth[None], truth)
    return {name: found[f"observed_{name}"] for name in LOOKS}


def rectangles() -> np.ndarray:
    """Of 12, 6, 2 and 1 pixels: two objects, and two that are too small to be."""
    rate = np.full((1, 32, 32), 0.9, np.float32)  # not yet wet
    rate[0, 2:5, 2:6] = 1.0
    rate[0, 10:12, 20:23] = 7.0
    rate[0, 20, 4:6] = 2.0
    rate[0, 31, 31] = 2.0
    return rate


def storms(seed: int, width: float | tuple[float, ...] = 3.0, leads: int = 2) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(leads, 96, 96)), width, axes=(1, 2))
    return np.exp(2.0 * noise / noise.std()).astype(np.float32)


def test_objects_and_area_of_rectangles() -> None:
    found = looks_of(rectangles())
    assert found["objects"] == pytest.approx(2 / 21)
    logs = 12 * np.log(12) + 6 * np.log(6) + 2 * np.log(2)
    assert found["object_area"] == pytest.approx(np.exp(logs / 21))


def test_elongation_of_rectangles_is_the_ratio_of_their_sides() -> None:
    logs = 12 * np.log(4 / 3) + 6 * np.log(3 / 2) + 2 * np.log(2)  # and a square
    assert looks_of(rectangles())["elongation"] == pytest.approx(np.exp(logs / 21))
    y, x = np.mgrid[:64, :64] - 32.0
    ellipse = np.hypot((y + x) / 3.0, y - x) < 16  # oblique
    assert looks_of(np.where(ellipse, 5.0, 0.0)[None])["elongation"] == pytest.approx(3.0, rel=0.02)


def test_objects_touch_by_corners() -> None:
    rate = np.zeros((1, 8, 8), np.float32)
    rate[0, [1, 2, 3], [1, 2, 3]] = 5.0
    found = looks_of(rate)
    assert found["objects"] == pytest.approx(1 / 3)
    assert found["object_area"] == pytest.approx(3.0)


def test_a_field_beside_itself_is_right_and_a_broken_one_is_not() -> None:
    truth = storms(0)
    same = looks(truth[None].repeat(2, axis=0), truth)
    assert [same[name] for name in LOOKS] == pytest.approx([1.0] * len(LOOKS))
    # Cut into blocks of 4×4 pixels: more objects of less area.
    broken = truth.copy()
    broken[:, ::5], broken[:, :, ::5] = 0.0, 0.0
    found = looks(broken[None], truth)
    assert found["objects"] > 1.5
    assert found["object_area"] < 0.2


def test_stripes_are_coherent_and_noise_is_not() -> None:
    y, x = np.mgrid[:96, :96]
    for slope in (0.0, 0.6, 1.0):
        stripes = np.exp(2.0 * np.sin((x + slope * y) / 2.0))[None].astype(np.float32)
        # Away from the edges of the domain, where the mirror image bends them.
        inside = np.zeros(stripes.shape, bool)
        inside[:, 24:-24, 24:-24] = True
        found = looks_of(np.where(inside, stripes, np.nan))
        assert found["coherence"] > 0.98, slope
    assert looks_of(storms(1, 1.0))["coherence"] < 0.25
    assert looks_of(storms(1, (1.0, 8.0)))["coherence"] > 2 * looks_of(storms(1, 1.0))["coherence"]


def test_looks_do_not_depend_on_where_up_is() -> None:
    truth = storms(2, (2.0, 5.0))
    turned = np.rot90(truth, axes=(1, 2))
    for name, value in looks_of(truth).items():
        assert looks_of(turned)[name] == pytest.approx(value, rel=1e-6), name


def test_what_does_not_count_is_left_out_on_both_sides() -> None:
    truth, member = storms(3), storms(4)
    hole = np.zeros(truth.shape, bool)
    hole[:, 30:50, 10:60] = True
    expected = looks(member[None], truth, valid=~hole)
    for left, right in ((hole, hole), (hole, False), (False, hole)):
        found = looks(np.where(left, np.nan, member)[None], np.where(right, np.nan, truth))
        assert found == expected
    assert found["observed_objects"] != looks(member[None], truth)["observed_objects"]


def test_edges_of_what_does_not_count_have_no_direction() -> None:
    """Rain that ends where the radar does is no stripe."""
    truth = np.full((1, 64, 64), 5.0, np.float32)
    truth[0, :, 40:] = np.nan
    found = looks_of(truth)
    assert np.isnan(found["coherence"])  # it does not vary
    assert found["object_area"] == pytest.approx(64 * 40)


def test_the_first_member_of_three_groups_is_looked_at() -> None:
    members = np.stack([storms(seed, 1.0 + seed) for seed in range(6)])
    truth = storms(9)
    pairs = looks(members, truth, groups=np.array([0, 0, 1, 1, 1, 2]))
    assert pairs == looks(members[[0, 2, 5]], truth)
    assert pairs == looks(members, truth, groups=np.array([7, 7, 1, 1, 1, 2]))
    assert pairs != looks(members, truth)
    assert looks(members, truth) == looks(members[:3], truth)


def test_lead_times_are_pooled_by_their_sums() -> None:
    truth = np.concatenate([rectangles(), np.zeros((1, 32, 32), np.float32)])
    assert looks_of(truth) == looks_of(rectangles())  # a dry frame adds nothing
    by_lead = looks_scores(looks_sums(Case.of(truth[None], truth)))
    assert np.isfinite(by_lead["objects"]).values.tolist() == [True, False]


def test_looks_spread_and_rank_stand_in_the_table_by_lead_time() -> None:
    members = np.stack([storms(seed, leads=3) for seed in range(4)])
    truth = xr.DataArray(
        storms(9, leads=3), dims=("time", "y", "x"), coords={"time": np.arange(3).astype("M8[ns]")}
    )
    statistics = compare({"a": members, "b": members[:1]}, truth, Protocol(scales=(1,)))
    table = tidy_table(all_scores({k: v.expand_dims("event") for k, v in statistics.items()}))
    names = {*LOOKS, *(f"observed_{name}" for name in LOOKS), "spread_skill", "highest_rank"}
    found = table[table["metric"].isin(names)].set_index(["contestant", "metric"]).sort_index()
    for contestant in "ab":
        for metric in names:
            rows = found.loc[[(contestant, metric)]]
            assert list(rows["lead_frame"]) == [0, 1, 2, 3]
            single = (contestant, metric) == ("b", "spread_skill")
            assert rows["value"].notna().all() != single, (contestant, metric)
    ranks = table[(table["contestant"] == "a") & (table["metric"] == "rank_frequency") & (table["bin"] == 4)]
    assert list(ranks["value"]) == list(found.loc[("a", "highest_rank"), "value"])
