"""Hindcasts of every contestant on the same windows, and their pooled scores."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.verification.crps import crps_ensemble

# From the context to members (m, t_out, y, x) in mm/h, NaN where there is no forecast.
Contestant = Callable[[xr.DataArray], NDArray[np.float32]]
THRESHOLDS = (0.5, 2.0, 8.0)


def windows(
    series: Sequence[xr.DataArray],
    *,
    frames: int,
    size: int | None = None,
    every: int | None = None,
    observed: float = 0.5,
) -> Iterator[xr.DataArray]:
    """Gap-free windows of ``frames`` frames; disjoint tiles of ``size`` pixels, or whole domains.

    Args:
        series: observations ``(time, y, x)``.
        frames: context and lead frames together.
        size: side of a tile.
        every: frames between starts; disjoint in time where None.
        observed: least share of observed pixels.
    """
    for data in series:
        steps = np.diff(data["time"].values)
        step = np.median(steps)
        for start in range(0, data.sizes["time"] - frames + 1, every or frames):
            if (steps[start : start + frames - 1] != step).any():
                continue
            for tile in _tiles(data, size):
                window = data.isel(time=slice(start, start + frames), y=tile[0], x=tile[1]).load()
                if float(np.isfinite(window).mean()) >= observed:
                    yield window


def _tiles(data: xr.DataArray, size: int | None) -> Iterator[tuple[slice, slice]]:
    """Disjoint tiles, centred in the domain."""
    height, width = data.sizes["y"], data.sizes["x"]
    if size is None:
        yield slice(0, height), slice(0, width)
        return
    rows, columns = height // size, width // size
    for i in range(rows):
        for j in range(columns):
            top, left = (height - rows * size) // 2 + i * size, (width - columns * size) // 2 + j * size
            yield slice(top, top + size), slice(left, left + size)


class Pooled:
    """Sums over pixels and windows, by contestant and lead time, from which scores are formed."""

    def __init__(self, lead_frames: int) -> None:
        self.lead_frames = lead_frames
        self.sums: dict[str, NDArray[np.float64]] = {}

    def add(
        self, name: str, members: NDArray[np.float32], truth: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Add one window.

        Args:
            name: of the contestant.
            members: ``(m, t, h, w)`` in mm/h.
            truth: ``(t, h, w)`` in mm/h.
            valid: ``(t, h, w)``, the pixels that count.
        """
        plain = crps_ensemble(members, truth)
        fair = crps_ensemble(members, truth, fair=True) if len(members) > 1 else plain
        mean = members.mean(axis=0)
        terms = [np.ones_like(truth), plain, fair, mean, truth]
        for threshold in THRESHOLDS:
            forecast_wet, wet = mean >= threshold, truth >= threshold
            terms += [forecast_wet & wet, ~forecast_wet & wet, forecast_wet & ~wet]
        sums = np.stack([np.where(valid, term, 0.0).sum(axis=(1, 2), dtype=np.float64) for term in terms])
        self.sums[name] = self.sums.get(name, 0.0) + sums

    def table(self) -> pd.DataFrame:
        """Tidy scores: contestant, lead frame (0 for all together), metric, threshold, value."""
        rows = []
        for name, sums in self.sums.items():
            for lead, values in [(0, sums.sum(axis=1)), *enumerate(sums.T, start=1)]:
                count = max(values[0], 1.0)
                for i, metric in enumerate(("crps", "crps_fair", "mean_rate", "observed_rate"), start=1):
                    rows.append((name, lead, metric, np.nan, values[i] / count))
                for i, threshold in enumerate(THRESHOLDS):
                    hits, misses, false_alarms = values[5 + 3 * i : 8 + 3 * i]
                    events = hits + misses + false_alarms
                    rows.append((name, lead, "csi_mean", threshold, hits / events if events else np.nan))
        return pd.DataFrame(rows, columns=["contestant", "lead_frame", "metric", "threshold", "value"])


def verify(
    contestants: Mapping[str, Contestant],
    observations: Iterable[xr.DataArray],
    *,
    context_frames: int,
    lead_frames: int,
) -> tuple[pd.DataFrame, int]:
    """Pooled scores of some contestants, and the number of windows.

    A pixel counts where it is observed and every contestant has a forecast.

    Raises:
        ObservationError: no windows.
    """
    pooled, count = Pooled(lead_frames), 0
    for window in observations:
        truth = window.values[context_frames:]
        forecasts = {
            name: forecast(window.isel(time=slice(0, context_frames)))
            for name, forecast in contestants.items()
        }
        valid = np.isfinite(truth)
        for members in forecasts.values():
            valid &= np.isfinite(members).all(axis=0)
        for name, members in forecasts.items():
            pooled.add(name, members, truth, valid)
        count += 1
    if not count:
        raise ObservationError(f"expected windows of {context_frames} + {lead_frames} frames, found none")
    return pooled.table(), count
