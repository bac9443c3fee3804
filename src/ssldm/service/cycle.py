"""One cycle: from the newest frames to a forecast in the time that there is."""

import json
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import NoDataError, ObservationError
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.forecast.extrapolation import extrapolated_rate
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.product_files import products_of
from ssldm.products_config import ProductsConfig
from ssldm.radar.context import latest_context
from ssldm.radar.motion import estimate_motion
from ssldm.radar.observations import NAME, time_step
from ssldm.service.calibration import ATTRIBUTE, with_calibration
from ssldm.service.config import DomainConfig, ServiceConfig
from ssldm.service.places import bounds_of
from ssldm.service.skill import SAMPLED
from ssldm.service.store import Record
from ssldm.service.times import iso, stamp_of

# Of members: with fewer, probabilities say too little, and the extrapolation is quicker.
LEAST_MEMBERS = 4
# Of members' rates that maps are made of at once.
_BLOCK_BYTES = 2**26
_NO_AGE = np.timedelta64(1, "s")
# Share of the time that is planned with, and how much the newest cycle counts for the pace.
_SURE, _NEWEST = 0.85, 0.5
# Of the seconds of a member, what is left of them after a cycle without any.
_DOUBTED = 0.95


@dataclass
class Pace:
    """How long forecasts of a domain take, as measured.

    Attributes:
        fixed: seconds of what does not depend on the number of members.
        per_member: seconds of a member and its share of the maps.
    """

    fixed: float = 0.0
    per_member: float = 0.0

    def members_in(self, seconds: float, asked: int) -> int:
        """How many members have time, an even number up to what is asked for; at first, all of them."""
        if seconds <= 0.0:
            return 0
        if self.per_member == 0.0:
            return asked
        fit = int((_SURE * seconds - self.fixed) / self.per_member)
        return asked if fit >= asked else max(fit - fit % 2, 0)

    def learn(self, fixed: float, others: float, members: int) -> None:
        """Take a forecast that was made into account: its seconds, fixed and of members."""
        share = 1.0 if self.per_member == 0.0 else _NEWEST
        self.fixed += share * (fixed - self.fixed)
        self.per_member += share * (others / members - self.per_member)

    def doubt(self) -> None:
        """No members were tried: what was slow once is tried again before long."""
        self.fixed *= _DOUBTED
        self.per_member *= _DOUBTED


@dataclass(frozen=True)
class Answer:
    """What came of a cycle.

    Attributes:
        summary: how it was answered, as the store keeps it.
        forecast: members and maps; None where there is no forecast.
        sample: members and extrapolation at every `SAMPLED`-th pixel, for verification.
    """

    summary: dict[str, Any]
    forecast: xr.Dataset | None = None
    sample: xr.Dataset | None = None


@dataclass
class Cycles:
    """The forecasts of one domain.

    Attributes:
        domain, config: what is asked for.
        nowcaster: the model, warm.
        pace: of what was made so far.
    """

    domain: DomainConfig
    config: ServiceConfig
    nowcaster: Nowcaster
    pace: Pace = field(default_factory=Pace)

    def answer(
        self,
        frames: xr.DataArray,
        time: np.datetime64,
        seconds: float,
        calibration: Record | None = None,
    ) -> Answer:
        """A forecast from a frame's time, as good as the time allows.

        Args:
            frames: ``(time, y, x)`` in mm/h, with those before.
            time: of the frame.
            seconds: that the forecast may take.
            calibration: of `ssldm.service.calibration.calibration_of`, for members' probabilities.
        """
        began = monotonic()
        known = frames.sel(time=slice(None, time))
        try:
            context = latest_context(
                known, self.nowcaster.config.context_frames,
                reference_time=time, max_age=_NO_AGE, bridge=True,
            )  # fmt: skip
        except (NoDataError, ObservationError) as error:
            return unanswered(time, str(error), self.domain.members)
        motion = estimate_motion(context.values)
        members = self.pace.members_in(seconds, self.domain.members)
        if members >= LEAST_MEMBERS:
            forecast, fixed = self._ensemble(context, members, motion, began)
            extrapolated = extrapolated_rate(context.values, forecast.sizes["lead_time"], motion)
        else:
            members = 0
            forecast = self._extrapolation(context, motion)
            extrapolated = forecast[NAME].values[0]
            calibration = None
        maps = with_calibration(_maps(forecast, known, self.config), calibration)
        whole = forecast.merge(maps, compat="override")
        if calibration is not None:
            whole.attrs[ATTRIBUTE] = json.dumps(calibration)
        took = monotonic() - began
        if members:
            self.pace.learn(fixed, took - fixed, members)
        elif seconds > 0.0:
            self.pace.doubt()
        state, reasons = self._how(members, seconds)
        summary = _summary(time, state, reasons, self.domain.members, forecast, took)
        summary["calibration"] = calibration
        return Answer(summary, whole, _sample(forecast, extrapolated))

    def _how(self, members: int, seconds: float) -> tuple[str, list[str]]:
        asked = self.domain.members
        if members == asked:
            return "full", []
        had = f"{max(seconds, 0.0):.0f} s"
        if members:
            return "fewer members", [f"{had} for {asked} members, enough for {members}"]
        return "extrapolation", [f"{had}, not enough for {LEAST_MEMBERS} members"]

    def _ensemble(
        self, context: xr.DataArray, members: int, motion: NDArray[np.float32], began: float
    ) -> tuple[xr.Dataset, float]:
        """Members, and the seconds until the first of them."""
        forecast = self.nowcaster.nowcast(
            context, members=members, lead_time=self.domain.lead_time, seed=self.domain.seed,
            motion=motion, lazy=True,
        )  # fmt: skip
        # Those of models with a denoiser are made by now: all of the time is theirs.
        fixed = monotonic() - began if forecast[NAME].chunks else 0.0
        with dask.config.set(scheduler="synchronous"):
            return forecast.compute(), fixed

    def _extrapolation(self, context: xr.DataArray, motion: NDArray[np.float32]) -> xr.Dataset:
        step = time_step(context)
        frames = self.nowcaster.config.lead_frames
        if self.domain.lead_time is not None:
            frames = max(round(pd.Timedelta(self.domain.lead_time) / pd.Timedelta(step)), 1)
        rate = extrapolated_rate(context.values, frames, motion)
        return nowcast_dataset(
            rate[None], context, step, source="extrapolation", seed=0, settings="serve, no time for members"
        )


def unanswered(time: np.datetime64, reason: str, asked: int) -> Answer:
    """A cycle without a forecast, and why."""
    return Answer(_summary(time, "none", [reason], asked))


def offered(forecast: xr.Dataset, config: ServiceConfig, domain: DomainConfig) -> dict[str, Any]:
    """What is offered of a domain and where it lies, by one of its forecasts.

    Raises:
        ObservationError: a forecast without georeference.
    """
    rates = [f"quantile-{q:g}" for q in config.quantiles] + [f"probability-{t:g}" for t in config.thresholds]
    amounts = [f"amount-{period}-{name}" for period in config.periods for name in rates]
    lead = [float(each) for each in forecast["lead_time"].values / np.timedelta64(1, "m")]
    return {
        "title": domain.title or domain.name,
        "bounds": bounds_of(forecast),
        "step_minutes": lead[1] - lead[0] if len(lead) > 1 else lead[0],
        "lead_minutes": lead,
        "members": domain.members,
        "thresholds": list(config.thresholds),
        "periods": list(config.periods),
        "quantiles": list(config.quantiles),
        "products": ["mean", *(f"member-{k}" for k in range(domain.members)), *rates, *amounts],
    }


def _maps(forecast: xr.Dataset, observed: xr.DataArray, config: ServiceConfig) -> xr.Dataset:
    """Maps of all products that are offered; amounts with what was observed in front.

    Made of some rows after the others, so that what is in between stays small.
    """
    asked = ProductsConfig(quantiles=config.quantiles, thresholds=config.thresholds, periods=config.periods)
    before = observed.sel(time=slice(forecast["forecast_reference_time"].values - asked.longest, None))
    rows = max(_BLOCK_BYTES // max(forecast[NAME].nbytes // forecast.sizes["y"], 1), 1)
    parts = []
    for first in range(0, forecast.sizes["y"], rows):
        block = {"y": slice(first, first + rows)}
        part = forecast.isel(block)
        if asked.periods:
            part = part.ssldm.joined(before.isel(block))
        parts.append(products_of(part, asked, matched=False))
    return xr.concat(parts, "y", data_vars="minimal", coords="minimal", compat="override", join="override")


def _sample(forecast: xr.Dataset, extrapolated: NDArray[np.float32]) -> xr.Dataset:
    some = slice(None, None, SAMPLED)
    kept = forecast[[NAME]].isel(y=some, x=some)
    return kept.assign(extrapolation=(("lead_time", "y", "x"), extrapolated[:, some, some]))


def _summary(
    time: np.datetime64,
    state: str,
    reasons: list[str],
    asked: int,
    forecast: xr.Dataset | None = None,
    seconds: float = 0.0,
) -> dict[str, Any]:
    """What the store keeps of a cycle beside the forecast."""
    summary = {
        "cycle": stamp_of(time), "reference_time": iso(time), "state": state, "reasons": reasons,
        "members": 0, "asked_members": asked, "lead_minutes": [], "seconds": round(seconds, 2),
        "source": "", "covered_share": 0.0, "input_notes": None,
    }  # fmt: skip
    if forecast is None:
        return summary
    lead = forecast["lead_time"].values / np.timedelta64(1, "m")
    return summary | {
        "members": forecast.sizes["member"],
        "lead_minutes": [float(each) for each in lead],
        "source": str(forecast.attrs["source"]),
        "covered_share": round(float(np.isfinite(forecast[NAME].values[0]).mean()), 4),
        "input_notes": forecast.attrs.get("input_notes"),
    }
