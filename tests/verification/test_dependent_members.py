"""Scores of ensembles whose members depend on each other in groups: right for any groups and dependence."""

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.verification.case import Case, pooled
from ssldm.verification.crps import crps_ensemble
from ssldm.verification.member_groups import groups_of
from ssldm.verification.statistics import Protocol, merge, scores_of, statistics_of

PROTOCOL = Protocol(thresholds=(0.5,), pools=(1, 4), scales=(1,))
MEAN, DEVIATION = 10.0, 1.5
CRPS_OF_GAUSSIAN = DEVIATION / np.sqrt(np.pi)  # E|x - y| - ½ E|x - x'| of three that are alike
BATCHES = 60  # lead times: each gives its own scores, and how these differ says how exact their mean is

# Groups of members, and how much the members of a group share: from opposite noise to copies.
ENSEMBLES = {
    "independent": ([0, 1, 2, 3], 0.0),
    "one pair of opposite noise and another": ([0, 0, 1, 1], -1.0),
    "pairs in another order": ([2, 0, 1, 0, 2, 1], -1.0),
    "pairs and one without its other": ([0, 0, 1, 1, 2], -1.0),
    "copies": ([0, 0, 1, 2, 2, 2], 1.0),
    "pairs that are half alike": ([7, 7, -3, -3], 0.5),
}


def drawn(groups: list[int], correlation: float, seed: int, side: int = 40) -> Case:
    """Members and truth of one distribution; those of a group correlate, others are independent."""
    rng = np.random.default_rng(seed)
    shape = (BATCHES, side, side)
    members = np.empty((len(groups), *shape))
    for group in set(groups):
        inside = np.flatnonzero(np.array(groups) == group)
        shared, sign = rng.normal(size=shape), 1.0
        for member in inside:
            own = rng.normal(size=shape)
            members[member] = sign * np.sqrt(abs(correlation)) * shared + np.sqrt(1 - abs(correlation)) * own
            sign = -sign if correlation < 0 else sign
    truth = rng.normal(size=shape)
    return Case.of(MEAN + DEVIATION * members, MEAN + DEVIATION * truth, groups=np.array(groups))


def scores(case: Case) -> xr.Dataset:
    return scores_of(statistics_of(case, PROTOCOL, np.random.default_rng(0)))


def assert_mean(values: xr.DataArray, expected: float) -> None:
    """That the mean over batches is what is expected, within 4.5 standard errors."""
    error = values.std("lead_time", ddof=1) / np.sqrt(BATCHES)
    assert (abs(values.mean("lead_time") - expected) < 4.5 * error).all()


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_fair_crps_has_the_mean_of_an_endless_ensemble_whatever_members_depend_on(kind: str) -> None:
    assert_mean(scores(drawn(*ENSEMBLES[kind], seed=1))["crps_fair"].sel(pool=1), CRPS_OF_GAUSSIAN)


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_spread_equals_the_error_of_a_calibrated_mean_whatever_members_depend_on(kind: str) -> None:
    found = scores(drawn(*ENSEMBLES[kind], seed=2))
    assert_mean(found["spread"] ** 2 - found["rmse"] ** 2, 0.0)
    assert_mean(found["spread_skill"], 1.0)


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_ranks_of_a_calibrated_ensemble_are_flat_whatever_members_depend_on(kind: str) -> None:
    assert_mean(scores(drawn(*ENSEMBLES[kind], seed=3))["rank_frequency"], 1.0)


def test_members_of_opposite_noise_taken_for_independent_get_the_bias_that_theory_says() -> None:
    paired = drawn([0, 0, 1, 1], -1.0, seed=4)
    found = scores(Case.of(paired.members, paired.truth))
    # One pair of three is √2 times as far apart: its noise has twice the variance.
    apart = (2 + np.sqrt(2)) / 3 * 2 * CRPS_OF_GAUSSIAN
    assert_mean(found["crps_fair"].sel(pool=1), 2 * CRPS_OF_GAUSSIAN - 0.5 * apart)
    # The mean has no noise, for which (m + 1)/m makes room.
    assert_mean(found["spread"] ** 2, 5 / 3 * DEVIATION**2)
    assert found["rank_frequency"].mean("lead_time").sel(rank=2) > 1.2


def test_fair_crps_and_spread_equal_the_sums_over_members_of_different_groups() -> None:
    rng = np.random.default_rng(5)
    groups = np.array([0, 2, 0, 1, 2, 2, 3])
    x, y = rng.gamma(0.5, 2.0, (7, 3, 8, 8)), rng.gamma(0.5, 2.0, (3, 8, 8))
    apart = [(i, j) for i in range(7) for j in range(7) if groups[i] != groups[j]]
    alike = [(i, j) for i in range(7) for j in range(7) if groups[i] == groups[j]]
    distance = sum(abs(x[i] - x[j]) for i, j in apart) / len(apart)
    fair = abs(x - y).mean(axis=0) - 0.5 * distance
    np.testing.assert_allclose(crps_ensemble(x, y, fair=True, groups=groups), fair, atol=1e-5)
    variance = 0.5 * sum((x[i] - x[j]) ** 2 for i, j in apart) / len(apart)
    of_mean = sum(variance - 0.5 * (x[i] - x[j]) ** 2 for i, j in alike) / 49
    found = scores(Case.of(x, y, groups=groups))
    np.testing.assert_allclose(found["crps_fair"].sel(pool=1), fair.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found["spread"] ** 2, (variance + of_mean).mean(axis=(1, 2)), rtol=1e-5)


def test_variance_of_the_mean_of_equal_groups_is_that_of_their_means() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.gamma(0.5, 2.0, (6, 1, 8, 8)), rng.gamma(0.5, 2.0, (1, 8, 8))
    groups = np.array([0, 0, 1, 1, 2, 2])
    means = x.reshape(3, 2, 1, 8, 8).mean(axis=1)
    variance = sum(
        0.5 * (x[i] - x[j]) ** 2 for i in range(6) for j in range(6) if groups[i] != groups[j]
    ).mean() / (6 * 4)
    expected = variance + (means.var(axis=0, ddof=1) / 3).mean()
    assert scores(Case.of(x, y, groups=groups))["spread"].item() ** 2 == pytest.approx(expected, rel=1e-5)


def test_groups_of_one_change_nothing() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.gamma(0.5, 2.0, (5, 2, 8, 8)), rng.gamma(0.5, 2.0, (2, 8, 8))
    sums = [
        statistics_of(case, PROTOCOL, np.random.default_rng(0))
        for case in (Case.of(x, y), Case.of(x, y, groups=np.array([9, 4, 5, 7, -1])))
    ]
    xr.testing.assert_identical(*sums)


def test_statistics_of_paired_and_of_independent_members_add_up() -> None:
    paired, independent = drawn([0, 0, 1, 1], -1.0, seed=8), drawn([0, 1, 2, 3], 0.0, seed=9)
    parts = [statistics_of(case, PROTOCOL, np.random.default_rng(0)) for case in (paired, independent)]
    together = scores_of(merge(parts))
    one, other = map(scores_of, parts)
    xr.testing.assert_allclose(together["crps_fair"], (one["crps_fair"] + other["crps_fair"]) / 2)
    xr.testing.assert_allclose(together["spread"] ** 2, (one["spread"] ** 2 + other["spread"] ** 2) / 2)
    assert_mean(together["crps_fair"].sel(pool=1), CRPS_OF_GAUSSIAN)
    assert_mean(together["spread_skill"], 1.0)
    assert_mean(together["rank_frequency"], 1.0)


def test_every_member_of_a_group_is_ranked_in_its_turn() -> None:
    """Of two pairs the first members lie below the observation, the second ones above it."""
    members = np.array([1.0, 3.0, 1.0, 3.0])[:, None, None, None] * np.ones((4, 1, 50, 50))
    case = Case.of(members, np.full((1, 50, 50), 2.0), groups=np.array([0, 0, 1, 1]))
    ranks = scores(case)["rank_frequency"].values.squeeze()
    # In each turn a third of the ranks 0…4 are what one of three is.
    assert ranks[:2].sum() > 0.3 * ranks.sum()
    assert ranks[-2:].sum() > 0.3 * ranks.sum()


def test_without_independent_members_there_is_no_fair_score_and_no_spread() -> None:
    pair, ensemble = drawn([0, 0], -1.0, seed=10), drawn([0, 1], 0.0, seed=11)
    parts = [statistics_of(case, PROTOCOL, np.random.default_rng(0)) for case in (pair, ensemble)]
    for sums in (parts[0], merge(parts)):
        for part in (sums, sums.sum("lead_time")):
            found = scores_of(part)
            assert all(found[name].isnull().all() for name in ("crps_fair", "spread", "spread_skill"))
            assert found["crps"].notnull().all()
    assert scores_of(parts[1])["crps_fair"].notnull().all()


def test_blocks_keep_the_groups_of_members() -> None:
    case = drawn([3, 3, 1, 1], -1.0, seed=12)
    np.testing.assert_array_equal(pooled(case, 4, "mean").groups, case.groups)
    with pytest.raises(ObservationError, match="a group for each of 4 members"):
        Case.of(case.members, case.truth, groups=np.array([0, 0, 1]))


def test_members_are_independent_where_the_forecast_does_not_say_otherwise() -> None:
    forecast = xr.Dataset(coords={"member": [0, 1, 2, 3]})
    assert groups_of(forecast).tolist() == [0, 1, 2, 3]
    paired = forecast.assign_coords(noise_pair=("member", [0, 0, 5, 5]))
    assert groups_of(paired).tolist() == [0, 0, 1, 1]
    assert groups_of(paired.isel(member=[3, 0, 2])).tolist() == [1, 0, 1]
    assert groups_of(paired.reset_coords("noise_pair").astype(float)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("member", [0.0, 0.0, np.nan, 1.0]), "whole numbers"),
        (("member", [0.0, 0.5, 1.0, 1.0]), "whole numbers"),
        (("member", ["a", "a", "b", "b"]), "whole numbers"),
        (((), 0), "found dimensions"),
    ],
)
def test_pairs_that_are_no_numbers_of_members_are_refused(pairs: object, message: str) -> None:
    with pytest.raises(ObservationError, match=message):
        groups_of(xr.Dataset(coords={"member": [0, 1, 2, 3], "noise_pair": pairs}))
