"""Probabilities corrected by what came of the last hours' forecasts, where a service is asked to.

Of each class of forecast probability the observed frequency is known (`ssldm.service.skill`). The corrected
probability lies between both, the nearer to the frequency the more frames there are, and never falls where
the forecast one rises: isotonic regression (Niculescu-Mizil and Caruana 2005), shrunk to no correction. What
no member has stays at 0.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from ssldm.service.store import Record

# Attribute of a stored forecast.
ATTRIBUTE = "probability_calibration"
# How many frames no correction weighs.
PRIOR_FRAMES = 36


def calibration_of(records: Sequence[Record]) -> Record | None:
    """The correction that frames ask for.

    Args:
        records: of `ssldm.service.skill.score_frame`.

    Returns:
        ``frames``, how many had a forecast, and ``curves``: by threshold probabilities that rise, and what
        each becomes; None where no frame had a forecast.
    """
    sums: dict[float, list[NDArray[np.float64]]] = {}
    for record in records:
        for part in record["reliability"]:
            classes = np.array([part[name] for name in ("forecast", "observed", "count")])
            if classes[2, 1:].any():
                sums.setdefault(part["threshold"], []).append(classes)
    if not sums:
        return None
    return {
        "frames": max(map(len, sums.values())),
        "curves": [
            {"threshold": threshold, **curve_of(*np.sum(each, axis=0), frames=len(each))}
            for threshold, each in sorted(sums.items())
        ],
    }


def curve_of(
    forecast: NDArray[np.float64],
    observed: NDArray[np.float64],
    count: NDArray[np.float64],
    *,
    frames: int,
    prior_frames: float = PRIOR_FRAMES,
) -> Mapping[str, list[float]]:
    """A rising curve from ``forecast`` to ``corrected`` probabilities.

    Args:
        forecast, observed, count: by class the sum of probabilities, and the numbers of events and of pixels;
            the first class is that of probability 0.
        frames: of which these are.
        prior_frames: how many frames no correction weighs.
    """
    known = (count > 0) & (forecast > 0)
    probability, frequency = forecast[known] / count[known], observed[known] / count[known]
    weight = frames / (frames + prior_frames)
    target = probability + weight * (frequency - probability)
    corrected = isotonic_regression(target, weights=count[known]).x
    return {"forecast": [0.0, *probability.tolist()], "corrected": [0.0, *corrected.tolist()]}


def calibrated(probability: NDArray[Any], calibration: Record | None, threshold: float) -> NDArray[Any]:
    """Probabilities of a threshold after a correction; as they are where there is none for it."""
    curves = calibration["curves"] if calibration else []
    curve = next((each for each in curves if np.isclose(each["threshold"], threshold)), None)
    if curve is None:
        return probability
    found: NDArray[Any] = np.interp(probability, curve["forecast"], curve["corrected"])
    return found.astype(probability.dtype)


def with_calibration(products: xr.Dataset, calibration: Record | None) -> xr.Dataset:
    """Products of a forecast whose ``rate_probability (threshold, …)`` is corrected."""
    if calibration is None or "rate_probability" not in products:
        return products
    plain = products["rate_probability"]
    parts = [
        calibrated(part.values, calibration, float(part["threshold"]))
        for part in plain.transpose("threshold", ...)
    ]
    corrected = plain.transpose("threshold", ...).copy(data=np.stack(parts)).transpose(*plain.dims)
    return products.assign(rate_probability=corrected)


def calibration_in(forecast: xr.Dataset) -> Record | None:
    """The correction that the probabilities of a stored forecast have."""
    text = forecast.attrs.get(ATTRIBUTE)
    return None if text is None else json.loads(text)
