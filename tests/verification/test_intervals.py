"""Bootstrap over events against the loop that it stands for."""

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError
from ssldm.verification import intervals
from ssldm.verification.case import Case
from ssldm.verification.intervals import scores_with_intervals
from ssldm.verification.statistics import Protocol, merge, scores_of, statistics_of
from ssldm.verification.table import all_scores

EVENTS = 4


def statistics(noise: float) -> xr.Dataset:
    """Of four events with two lead times; errors differ among them."""
    parts = []
    for event in range(EVENTS):
        rng = np.random.default_rng(event)
        truth = rng.gamma(0.5, 3.0, (2, 16, 16)).astype(np.float32)
        members = truth * np.exp(noise * (1 + event) * rng.normal(size=(3, 2, 16, 16))).astype(np.float32)
        parts.append(statistics_of(Case.of(members, truth), Protocol(), np.random.default_rng(0)))
    return xr.concat(parts, dim="event")


def test_intervals_are_those_of_drawn_events_scored_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 60)
    found = {"good": statistics(0.1), "poor": statistics(0.3)}
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(EVENTS, np.full(EVENTS, 1.0 / EVENTS), size=60)
    crps, skill = [], []
    for counts in drawn:
        chosen = np.repeat(np.arange(EVENTS), counts)
        good, poor = (
            scores_of(merge([part.isel(event=k) for k in chosen]).sum("lead_time"))["crps"].sel(pool=1)
            for part in found.values()
        )
        crps.append(float(good))
        skill.append(1.0 - float(good) / float(poor))
    together = {name: part.sum("lead_time") for name, part in found.items()}
    scores = scores_with_intervals(together, reference="poor")
    for expected, metric in ((crps, "crps"), (skill, "crps_skill")):
        value, lower, upper = scores["good"][metric].sel(pool=1).values
        bounds = np.quantile(expected, [0.05, 0.95], method="nearest")
        np.testing.assert_allclose([lower, upper], bounds, rtol=1e-6)
        assert lower < value < upper
    exact = scores_of(merge([together["good"].isel(event=k) for k in range(EVENTS)]))
    xr.testing.assert_allclose(scores["good"].sel(estimate="value", drop=True)[list(exact)], exact)
    np.testing.assert_allclose(scores["poor"]["crps_skill"].sel(pool=1), 0.0, atol=1e-12)


def test_one_event_has_no_interval() -> None:
    one = {"a": statistics(0.1).isel(event=[0])}
    crps = scores_with_intervals(one)["a"]["crps"].sel(pool=1)
    assert np.isfinite(crps.sel(estimate="value")).all()
    assert np.isnan(crps.sel(estimate=["lower", "upper"])).all()
    with pytest.raises(ConfigurationError, match="found b"):
        scores_with_intervals(one, reference="b")


def test_lead_frame_0_is_all_lead_times_together() -> None:
    sums = statistics(0.2)
    scores = all_scores({"a": sums})["a"]
    assert scores.attrs == {"windows": EVENTS, "events": EVENTS}
    value = scores.sel(estimate="value", drop=True)
    by_lead = scores_of(sums.sum("event"))
    for metric in ("crps", "csi", "rank_frequency", "power_ratio", "ssim"):
        np.testing.assert_allclose(
            value[metric].isel(lead_frame=slice(1, None)).transpose(*value[metric].dims).values,
            by_lead[metric].rename(lead_time="lead_frame").transpose(*value[metric].dims).values,
        )
    together = scores_of(sums.sum(["event", "lead_time"]))
    for metric, expected in together.items():
        np.testing.assert_allclose(
            value[metric].sel(lead_frame=0).transpose(*expected.dims).values, expected.values
        )


@pytest.mark.filterwarnings("error")
def test_a_score_that_no_event_has_is_no_reason_to_warn() -> None:
    dry = statistics(0.1)
    dry["contingency"][:] = 0
    csi = scores_with_intervals({"a": dry.sum("lead_time")})["a"]["csi"]
    assert np.isnan(csi).all()


def test_a_score_that_many_drawn_events_have_not_has_no_interval() -> None:
    dry = statistics(0.1).isel(event=[0, 1])
    dry["contingency"][1] = 0  # nothing is known of heavy rain in the second event
    csi = scores_with_intervals({"a": dry.sum("lead_time")})["a"]["csi"].sel(pool=1, threshold=8.0)
    assert np.isfinite(csi.sel(estimate="value"))
    assert np.isnan(csi.sel(estimate=["lower", "upper"])).all()
