"""How the last hours' forecasts did: sums a frame, added up to scores when they are asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.observations import NAME
from ssldm.service.calibration import calibrated
from ssldm.service.store import Record, Store
from ssldm.service.times import stamp_of, time_of
from ssldm.verification.crps import crps_ensemble

KIND = "skill"
HOURS = 3
# Every so many-th pixel of a row and of a column is scored.
SAMPLED = 4
_SUMS = "forecast", "issued", "observed", "count"
# Classes of forecast probability: those of no member, and up to each of so many parts of 1.
CLASSES = 10
_ROUNDING = 1e-6
# Frames in a row that intervals take for one: for so long the same storms and forecasts are seen.
_ROW = 12
_RESAMPLES, _LEVEL = 500, 0.9


def score_frame(store: Store, domain: str, frame: xr.DataArray, thresholds: Sequence[float]) -> Record:
    """Sums over every `SAMPLED`-th pixel of a frame, of each forecast for its time.

    Args:
        store: with the forecasts.
        domain: whose.
        frame: ``(y, x)`` in mm/h, with its time.
        thresholds: of reliability, in mm/h.

    Returns:
        ``leads``: by lead time ``crps`` and ``error`` (of the extrapolation) in mm/h, summed over ``pixels``.
        ``reliability``: by threshold and class of the members' probability ``forecast`` (its sum), ``issued``
        (the sum after the forecast's calibration), ``observed`` and ``count``.
    """
    time = frame["time"].values
    observed = frame.values[::SAMPLED, ::SAMPLED]
    leads = []
    sums = np.zeros((len(thresholds), CLASSES + 1, len(_SUMS)))
    for cycle in store.cycles(domain):
        start = time_of(cycle["cycle"])
        if start is None or not cycle["lead_minutes"]:
            continue
        minutes = float((time - start) / np.timedelta64(1, "m"))
        if minutes not in cycle["lead_minutes"] or (sample := store.sample(domain, cycle["cycle"])) is None:
            continue
        number = cycle["lead_minutes"].index(minutes)
        part = sample.isel(lead_time=number)
        members = part[NAME].values.astype(np.float32)
        extrapolated = part["extrapolation"].values.astype(np.float32)
        if members.shape[1:] != observed.shape:
            continue
        known = np.isfinite(observed) & np.isfinite(extrapolated) & np.isfinite(members).all(axis=0)
        if not known.any():
            continue
        crps = crps_ensemble(members[:, known], observed[known])
        error = np.abs(extrapolated[known] - observed[known])
        leads.append(
            {
                "cycle": cycle["cycle"],
                "lead_minutes": minutes,
                "crps": float(crps.sum(dtype=np.float64)),
                "error": float(error.sum(dtype=np.float64)),
                "pixels": int(known.sum()),
            }
        )
        if cycle["state"] != "extrapolation":
            sums += _reliability_sums(
                members[:, known], observed[known], thresholds, cycle.get("calibration")
            )
    reliability = [
        {
            "threshold": threshold,
            **{name: [round(float(v), 6) for v in sums[i, :, k]] for k, name in enumerate(_SUMS)},
        }
        for i, threshold in enumerate(thresholds)
    ]
    return {"frame": stamp_of(time), "leads": leads, "reliability": reliability}


def classes_of(probability: NDArray[Any]) -> NDArray[np.int64]:
    """The class of each probability, 0 to `CLASSES`."""
    return np.ceil(probability * CLASSES - _ROUNDING).astype(np.int64)


def _reliability_sums(
    members: NDArray[np.float32],
    observed: NDArray[np.float32],
    thresholds: Sequence[float],
    calibration: Record | None,
) -> NDArray[np.float64]:
    """`_SUMS` by threshold and class ``(threshold, class, sum)``."""
    sums = np.zeros((len(thresholds), CLASSES + 1, len(_SUMS)))
    for i, threshold in enumerate(thresholds):
        probability = (members >= threshold).mean(axis=0)
        cls = classes_of(probability)
        issued = calibrated(probability, calibration, threshold)
        terms = probability, issued, observed >= threshold, np.ones_like(probability)
        for k, values in enumerate(terms):
            sums[i, :, k] = np.bincount(cls, values, CLASSES + 1)
    return sums


def recent(records: Sequence[Record], time: np.datetime64) -> list[Record]:
    """Those of the frames of the last hours before a time."""
    first = time - HOURS * np.timedelta64(1, "h")
    times = ((record, time_of(record["frame"])) for record in records)
    return [record for record, when in times if when is not None and first <= when <= time]


def skill_of(records: Sequence[Record]) -> Record:
    """Scores of some frames.

    Returns:
        ``frames``, their number; ``by_lead``, of each lead time ``crps`` and ``crps_extrapolation`` in mm/h;
        ``reliability``, of each threshold and class the mean ``forecast`` probability and the ``observed``
        frequency, with the interval from ``low`` to ``high`` that holds nine tenths of those of resampled
        rows of frames, null where there is one frame.
    """
    by_lead: dict[float, list[float]] = {}
    for record in records:
        for lead in record["leads"]:
            sums = by_lead.setdefault(lead["lead_minutes"], [0.0, 0.0, 0.0])
            for k, name in enumerate(("crps", "error", "pixels")):
                sums[k] += lead[name]
    return {
        "frames": len(records),
        "by_lead": [
            {
                "lead_minutes": minutes,
                "crps": crps / pixels,
                "crps_extrapolation": error / pixels,
                "pixels": int(pixels),
            }
            for minutes, (crps, error, pixels) in sorted(by_lead.items())
        ],
        "reliability": _reliability(records),
    }


def _reliability(records: Sequence[Record]) -> list[Record]:
    thresholds = sorted({part["threshold"] for record in records for part in record["reliability"]})
    found = []
    for threshold in thresholds:
        sums = np.array(
            [
                [part.get(name, part["forecast"]) for name in ("issued", "observed", "count")]
                for record in records
                for part in record["reliability"]
                if part["threshold"] == threshold
            ]
        )  # frame, term, class
        found.append({"threshold": threshold, "bins": list(_bins(sums))})
    return found


def _bins(sums: NDArray[np.float64]) -> Any:
    frames = len(sums)
    resampled = np.tensordot(_drawn(frames), sums, axes=1)
    forecast, observed, count = sums.sum(axis=0)
    for number in np.flatnonzero(count):
        counts = resampled[:, 2, number]
        frequency = resampled[counts > 0, 1, number] / counts[counts > 0]
        low, high = np.quantile(frequency, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        several = frames > 1
        yield {
            "forecast": float(forecast[number] / count[number]),
            "observed": float(observed[number] / count[number]),
            "low": float(low) if several else None,
            "high": float(high) if several else None,
            "count": int(count[number]),
        }


def _drawn(frames: int) -> NDArray[np.int64]:
    """How often each frame is in each resample ``(resample, frame)``: circular blocks of `_ROW` frames.

    Frames that follow each other are alike, so that resamples of single ones would differ too little (Politis
    and Romano 1992). Of few frames blocks are a third.
    """
    length = min(_ROW, -(-frames // 3))
    first = np.random.default_rng(0).integers(0, frames, (_RESAMPLES, -(-frames // length), 1))
    chosen = ((first + np.arange(length)) % frames).reshape(_RESAMPLES, -1)[:, :frames]
    return np.stack([np.bincount(row, minlength=frames) for row in chosen])
