"""Does what came of the last hours' forecasts make the next one's probabilities better? Replayed days tell.

    python experiments/live_calibration.py score runs/archives runs/calibration   # make forecasts
    python experiments/live_calibration.py compare runs/calibration  # corrections

Every quarter of an hour of each day a forecast is made of its middle, as `ssldm serve` makes it. A correction
is learned from frames that had been observed by then, and applied to the forecast. Days to choose it on are
those of training; it is looked at afterwards on the others.
"""

import argparse
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ssldm.atomic import replacing
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.radar.archive import open_archive
from ssldm.radar.observations import NAME
from ssldm.service.calibration import curve_of
from ssldm.service.skill import CLASSES, SAMPLED, classes_of

MEMBERS, SIDE, EVERY = 20, 256, 3
THRESHOLDS = (0.5, 2.0, 5.0, 10.0)
FRAMES_AN_HOUR = 12
HOURS, PRIOR_FRAMES = (1.0, 3.0, 6.0), (0.0, 12.0, 36.0, 100.0)


def score(archives: Path, out: Path) -> None:
    """Make forecasts of all days, and keep the sums that scores are made of."""
    torch.set_num_threads(1)
    nowcaster = Nowcaster.from_pretrained("small")
    for archive in sorted(archives.glob("*.zarr")):
        for number, data in enumerate(open_archive(archive)):
            path = out / f"{archive.stem}-{number}.npz"
            steps = np.unique(np.diff(data["time"].values)) / np.timedelta64(1, "m")
            if path.exists() or list(steps) != [nowcaster.config.step_minutes]:
                continue
            kept = list(_sums_of(nowcaster, data))
            if not kept:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as aside:
                starts, leads, sums = (np.array(each) for each in zip(*kept, strict=True))
                np.savez(aside, starts=starts, leads=leads, sums=sums)
            print(path, len(kept), flush=True)


def _sums_of(nowcaster: Nowcaster, data: xr.DataArray) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Start, lead frame, and by threshold and members above it the numbers of events and of pixels."""
    rows, columns = (slice((n - SIDE) // 2, (n + SIDE) // 2) for n in (data.sizes["y"], data.sizes["x"]))
    frames = data[:, rows, columns].load()
    context = nowcaster.config.context_frames
    for start in range(context - 1, len(frames) - 1, EVERY):
        observed = frames[start - context + 1 : start + 1]
        if np.isfinite(observed.values).mean() < 0.5:
            continue
        members = nowcaster.nowcast(observed, members=MEMBERS)[NAME].values[:, :, ::SAMPLED, ::SAMPLED]
        for lead in range(min(members.shape[1], len(frames) - 1 - start)):
            truth = frames.values[start + 1 + lead, ::SAMPLED, ::SAMPLED]
            known = np.isfinite(truth) & np.isfinite(members[:, lead]).all(axis=0)
            sums = np.zeros((len(THRESHOLDS), MEMBERS + 1, 2))
            for i, threshold in enumerate(THRESHOLDS):
                above = (members[:, lead, known] >= threshold).sum(axis=0)
                sums[i, :, 0] = np.bincount(above, truth[known] >= threshold, MEMBERS + 1)
                sums[i, :, 1] = np.bincount(above, minlength=MEMBERS + 1)
            yield start, lead + 1, sums


def compare(folder: Path) -> None:
    """Brier scores with corrections, of those without, on days to choose on and on others."""
    days = {path.stem: np.load(path) for path in sorted(folder.glob("*.npz"))}
    for chosen_on in (True, False):
        some = {name: day for name, day in days.items() if ("train" in name) is chosen_on}
        print("days to choose on:" if chosen_on else "other days:", *some)
        for hours, prior in product(HOURS, PRIOR_FRAMES):
            scores = np.array([_scores(day, hours, prior) for day in some.values()])
            plain, corrected = scores.sum(axis=0)
            rains = scores[:, 0] > 0.0
            worse = ((scores[:, 1] > scores[:, 0]) & rains).sum(axis=0)
            told = (
                f"{r:.3f} ({w}/{n})"
                for r, w, n in zip(corrected / plain, worse, rains.sum(axis=0), strict=True)
            )
            print(f"{hours:g} h, {prior:g} frames:", *told)


def _scores(day: Mapping[str, NDArray[Any]], hours: float, prior: float) -> NDArray[np.float64]:
    """Mean Brier scores ``(without and with a correction, threshold)`` of a day."""
    starts, sums = day["starts"], day["sums"]
    frames = starts + day["leads"]
    share = np.arange(MEMBERS + 1) / MEMBERS
    scores = np.zeros((2, len(THRESHOLDS)))
    for start in np.unique(starts):
        usable = (frames <= start) & (frames > start - hours * FRAMES_AN_HOUR)
        known = len(np.unique(frames[usable]))
        mine, past = (sums[which].sum(axis=0) for which in (starts == start, usable))
        for i in range(len(THRESHOLDS)):
            events, pixels = mine[i].T
            for k, probability in enumerate((share, _corrected(share, *past[i].T, known, prior))):
                scores[k, i] += (pixels * probability**2 - 2 * probability * events + events).sum()
    return scores / sums[..., 1].sum(axis=(0, 2))


def _corrected(
    share: NDArray[np.float64],
    events: NDArray[np.float64],
    pixels: NDArray[np.float64],
    frames: int,
    prior: float,
) -> NDArray[np.float64]:
    """Shares of members as a service corrects them, by the events and pixels of each in so many frames."""
    classes = classes_of(share)
    sums = [np.bincount(classes, each, CLASSES + 1) for each in (share * pixels, events, pixels)]
    if not sums[2][1:].any():
        return share
    curve = curve_of(*sums, frames=frames, prior_frames=prior)
    return np.interp(share, curve["forecast"], curve["corrected"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["score", "compare"])
    parser.add_argument("folders", type=Path, nargs="+")
    asked = parser.parse_args()
    {"score": score, "compare": compare}[asked.what](*asked.folders)
