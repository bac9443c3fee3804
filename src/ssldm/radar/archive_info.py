"""What an archive holds: period, step, gaps, grid, wet fraction by month, intensities."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssldm.radar.archive import open_archive
from ssldm.radar.archive_store import count_gaps, missing_times
from ssldm.radar.observations import pixel_size
from ssldm.radar.times import usual_step

# Edges of the histogram in mm/h; the first class is dry, the last is open.
INTENSITIES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_BAR = 40


@dataclass(frozen=True)
class ArchiveInfo:
    """What one series of an archive holds.

    Attributes:
        place: of several places or products, which.
        period: first and last time, UTC.
        frames: number of frames.
        step_minutes: most frequent step.
        gaps: number of breaks; ``missing`` is the number of frames that they lack.
        size: rows and columns; ``pixel_metres`` is the size of one.
        projection: name of the map projection, None without georeference.
        observed_fraction: share of pixels observed.
        wet_fraction: share of the observed pixels at or above 0.1 mm/h; ``wet_by_month`` for each month.
        histogram: share of the observed pixels in the classes that `INTENSITIES` divide.
        wettest: rain rate ``(y, x)`` in mm/h of the wettest frame, and ``wettest_time``.
    """

    place: str
    product: str
    period: tuple[np.datetime64, np.datetime64]
    frames: int
    step_minutes: float
    gaps: int
    missing: int
    size: tuple[int, int]
    pixel_metres: float
    projection: str | None
    observed_fraction: float
    wet_fraction: float
    wet_by_month: dict[str, float]
    histogram: NDArray[np.float64]
    wettest: NDArray[np.float32]
    wettest_time: np.datetime64

    def lines(self) -> Iterator[str]:
        """The same for people, one line a finding."""
        first, last = (str(time)[:16].replace("T", " ") for time in self.period)
        height, width = self.size
        yield (
            f"{self.place or self.product}: {first} to {last} UTC, {self.frames} frames every "
            f"{self.step_minutes:g} min, {self.gaps} gaps ({self.missing} frames), {height}×{width} "
            f"pixels of {self.pixel_metres / 1000.0:.3g} km, {self.projection or 'not georeferenced'}, "
            f"{self.observed_fraction:.1%} observed, {self.wet_fraction:.1%} of that wet (≥ 0.1 mm/h)"
        )
        for month, wet in self.wet_by_month.items():
            yield f"  {month}  {wet:6.1%} wet"
        names = ["dry", *(f"≥ {edge:g}" for edge in INTENSITIES)]
        for name, share in zip(names, self.histogram, strict=True):
            # From 1 in 100,000 pixels to all of them, on a logarithmic scale.
            length = round(_BAR * max(0.0, 1.0 + np.log10(max(share, 1e-9)) / 5.0))
            yield f"  {name:>6} mm/h {share:9.4%} {'▇' * length}"


Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def archive_info(path: Path | str, progress: Progress = lambda items, _: items) -> Iterator[ArchiveInfo]:
    """What each series of an archive holds; every frame is read once.

    Raises:
        ObservationError: no archive at ``path``.
    """
    for data in open_archive(path):
        times = data["time"].values
        edges = np.array([-np.inf, *INTENSITIES, np.inf])
        seen = np.zeros(len(times))
        classes = np.zeros((len(times), len(edges) - 1))
        wettest, most = 0, -1.0
        for i in progress(range(len(times)), len(times)):
            frame = data[i].values
            frame = frame[np.isfinite(frame)]
            seen[i] = frame.size
            classes[i] = np.histogram(frame, edges)[0]
            if frame.size and (total := float(frame.sum())) > most:
                wettest, most = i, total
        wet = classes[:, 1:].sum(axis=1)
        months = times.astype("datetime64[M]")
        missing = missing_times(times)
        yield ArchiveInfo(
            place=data.attrs.get("place", ""),
            product=data.attrs.get("product", ""),
            period=(times[0], times[-1]),
            frames=len(times),
            step_minutes=float(usual_step(times) / np.timedelta64(1, "m"))
            if len(times) > 1
            else float("nan"),
            gaps=count_gaps(times, missing),
            missing=len(missing),
            size=(data.sizes["y"], data.sizes["x"]),
            pixel_metres=pixel_size(data),
            projection=data["crs"].attrs.get("grid_mapping_name") if "crs" in data.coords else None,
            observed_fraction=float(seen.sum() / data.size),
            wet_fraction=float(wet.sum() / max(seen.sum(), 1.0)),
            wet_by_month={
                str(month): float(wet[months == month].sum() / max(seen[months == month].sum(), 1.0))
                for month in np.unique(months)
            },
            histogram=classes.sum(axis=0) / max(seen.sum(), 1.0),
            wettest=data[wettest].values,
            wettest_time=times[wettest],
        )
