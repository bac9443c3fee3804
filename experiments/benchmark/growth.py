"""How the time of a forecast grows with area, members and lead frames."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from benchmark.domains import square
from benchmark.measure import Options, Row, exponent, in_turn, seconds

from ssldm import Nowcaster

PART = "growth"


@dataclass(frozen=True)
class Point:
    """One forecast: side of the domain in pixels, members, lead frames."""

    side: int
    members: int
    frames: int

    def __str__(self) -> str:
        return f"{self.side}×{self.side}, {self.members} members, {self.frames} lead frames"


def measure(options: Options) -> list[Row]:
    """Times of all forecasts, and along each of the three an exponent."""
    sizes = options.sizes
    base = Point(sizes.side, sizes.members, sizes.frames)
    axes = {
        "area": [(side**2, replace(base, side=side)) for side in sizes.sides],
        "members": [(count, replace(base, members=count)) for count in sizes.member_counts],
        "lead frames": [(count, replace(base, frames=count)) for count in sizes.frame_counts],
    }
    points = dict.fromkeys(point for axis in axes.values() for _, point in axis)
    nowcaster = Nowcaster.from_pretrained(options.model, device=options.device)
    storms = {side: square(side) for side in sorted({point.side for point in points})}

    def forecast(point: Point) -> Callable[[], float]:
        return lambda: seconds(
            lambda: nowcaster.nowcast(
                storms[point.side], members=point.members, lead_time=f"{5 * point.frames}min"
            )
        )

    runs = in_turn({str(point): forecast(point) for point in points}, options.rounds)
    rows = [Row.median(PART, name, times) for name, times in runs.items()]
    for axis, along in axes.items():
        at = [float(size) for size, _ in along]
        times = [float(np.median(runs[str(point)])) for _, point in along]
        last = exponent(at[-2:], times[-2:])
        remark = f"between the two largest {last:.2f}"
        rows.append(Row(PART, f"exponent of {axis}", exponent(at, times), "", remark=remark))
    return rows
