"""Figures of observations and forecasts that a forecaster can read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ssldm.atomic import check_output, replacing
from ssldm.basemap import Basemap
from ssldm.checks import whole_number
from ssldm.diffusion.sampling import MOST_MEMBERS
from ssldm.drawable import covered, drawable, start_of
from ssldm.errors import ConfigurationError, ObservationError, OutputError
from ssldm.forecast.writable import check_outside_of_stores
from ssldm.observed_beside import ObservedBeside
from ssldm.paths import as_path, check_no_source
from ssldm.products.grid import PixelGrid
from ssldm.products.nowcast import check_threshold
from ssldm.radar.observations import NAME
from ssldm.rain_maps import draw, panel_grid, probability_colours, rain_colours, save_still, stamp

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from ssldm.radar.archive_info import ArchiveInfo

FORMATS = (".gif", ".mp4", ".png", ".svg")
STILL = (".png", ".svg")
# Frames that were observed, before those of a forecast that moves.
CONTEXT_FRAMES = 4
# Of a figure in inches, so that colour bars and headings have room beside a single panel.
_LEAST_WIDTH = 5.5
# Of a heading, in letters of ten points.
_CHARACTERS_AN_INCH = 11.0
_MOST_FRAMES_PER_SECOND = 100.0


def check_picture_output(path: Path | str, sources: Sequence[str | Path] = ()) -> None:
    """Refuse what `plot_nowcast` could not write to; for commands to call before they read anything.

    Args:
        path: of the picture.
        sources: what is drawn: the forecast's file, and observations as `ssldm.open_radar` takes them.

    Raises:
        ObservationError: a file name of another kind.
        OutputError: a place that no file can be written to, or one of the sources.
    """
    path = as_path(path, OutputError)
    _kind_of_picture(path, FORMATS)
    check_outside_of_stores(path)
    check_output(path)
    check_no_source(path, sources)


def plot_nowcast(
    forecast: xr.Dataset,
    path: Path | str,
    *,
    observations: xr.DataArray | None = None,
    threshold: float = 2.0,
    members: int = 3,
    frames_per_second: float = 4.0,
) -> None:
    """Draw a forecast: moving (``.gif``, ``.mp4``), or its lead times side by side (``.png``, ``.svg``).

    Cropped to what is forecast, with coasts and borders where the forecast says where it is.

    Args:
        forecast: as `Nowcaster.nowcast` returns it, or with its axes in another order.
        path: the picture to write.
        observations: what was observed on the grid of the forecast, before and (where known) after it starts.
        threshold: rain rate in mm/h of the probability panel.
        members: how many members to show, at most.
        frames_per_second: of an animation.

    Raises:
        ObservationError: a file name of another kind, what is no forecast over a map or lacks its times, or
            observations on another grid.
        ConfigurationError: a threshold, number of members or of frames that is none.
        OutputError: a place that no file can be written to.
    """
    path = as_path(path, OutputError)
    check_picture_output(path)
    threshold = check_threshold(threshold)
    members = whole_number("members", members, 0, MOST_MEMBERS)
    if not 1.0 <= frames_per_second <= _MOST_FRAMES_PER_SECOND:
        raise ConfigurationError(
            f"expected frames_per_second from 1 to {_MOST_FRAMES_PER_SECOND:g}, found {frames_per_second!r}"
        )
    forecast = drawable(forecast)
    panels = _Panels(forecast, observations, threshold, min(members, forecast.sizes["member"]))
    kind = _kind_of_picture(path, FORMATS)
    with replacing(path) as aside:
        if kind in STILL:
            save_still(panels.sheet(), aside, kind)
        else:
            panels.animate(aside, frames_per_second)


def write_animation(
    figure: "Figure", path: Path, count: int, turn: Callable[[int], None], frames_per_second: float
) -> None:
    """Write so many frames of a figure, turned to each by its number.

    It is laid out once, as it is given, so that nothing moves but what is shown.

    Raises:
        ObservationError: the format needs ffmpeg, and there is none.
    """
    from matplotlib.animation import FFMpegWriter, PillowWriter

    kind = PillowWriter if path.suffix.lower() == ".gif" else FFMpegWriter
    if not kind.isAvailable():
        raise ObservationError(f"{path.suffix} needs ffmpeg, which was not found; .gif does not")
    figure.canvas.draw()
    figure.set_layout_engine("none")
    writer = kind(fps=round(frames_per_second))
    with writer.saving(figure, str(path), dpi=80):
        for number in range(count):
            turn(number)
            writer.grab_frame()


def basemap_of(forecast: xr.Dataset, towns: pd.DataFrame | None = None) -> Basemap | None:
    """What lies under a forecast, see `Basemap.of`; None where its pixels have no place."""
    placed = all(axis in forecast.coords and forecast.sizes[axis] > 1 for axis in ("y", "x"))
    return Basemap.of(PixelGrid.of(forecast), towns) if placed else None


def save_validation_picture(path: Path, observed: NDArray[np.float32], members: NDArray[np.float32]) -> None:
    """Observed and forecast rain ``(t, h, w)``, members ``(m, t, h, w)``, at four lead times."""
    times = np.linspace(0, len(observed) - 1, 4).round().astype(int)
    shown = {f"member {k}": member for k, member in enumerate(members[:3])}
    rows = {"observed": observed, **shown, "mean": members.mean(axis=0)}
    figure, axes = panel_grid(len(rows), len(times), 2.2)
    for row, (label, rate) in enumerate(rows.items()):
        for column, time in enumerate(times):
            draw(axes[row, column], rate[time], *rain_colours())
            axes[row, column].set_title(f"{label}, frame {time + 1}", fontsize=7)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=80)


class _Panels:
    """The content of a nowcast figure: rows of fields on one colour scale."""

    def __init__(
        self, forecast: xr.Dataset, observations: xr.DataArray | None, threshold: float, members: int
    ) -> None:
        self.observed = None if observations is None else ObservedBeside.of(observations, forecast)
        self.shown = covered(forecast)
        forecast = forecast.isel(self.shown)
        self.basemap = basemap_of(forecast)
        self.rate = forecast[NAME].values
        self.mean = forecast.ssldm.mean().values
        self.probability = forecast.ssldm.exceedance_probability(threshold).values
        self.start = start_of(forecast)
        self.valid = forecast["valid_time"].values
        self.minutes = forecast["lead_time"].values / np.timedelta64(1, "m")
        self.context = [] if self.observed is None else self.observed.until(self.start, CONTEXT_FRAMES)
        self.threshold = threshold
        self.members = forecast["member"].values[:members]
        self.product = forecast.attrs.get("observations", "unknown product")
        self.source = forecast.attrs.get("source", "unknown source")

    def fields(self, lead: int) -> list[tuple[str, NDArray[np.float32], bool]]:
        """Title, field and whether it is a probability, at one lead time."""
        panels = [
            ("ensemble mean", self.mean[lead], False),
            (f"P(rain ≥ {self.threshold:g} mm/h)", self.probability[lead], True),
            *((f"member {name}", self.rate[k, lead], False) for k, name in enumerate(self.members)),
        ]
        return [*self._observed(self.valid[lead]), *panels]

    def _observed(self, time: Any) -> list[tuple[str, NDArray[np.float32], bool]]:
        """The panel of observations at a time, grey without any; no panel where none were given."""
        if self.observed is None:
            return []
        title, field = self.observed.at(time)
        nothing = np.full_like(self.mean[0], np.nan)
        return [(title, nothing if field is None else field[self.shown["y"], self.shown["x"]], False)]

    def sheet(self) -> "Figure":
        """Four lead times side by side."""
        leads = np.unique(np.linspace(0, len(self.valid) - 1, 4).round().astype(int))
        rows = max(len(self.fields(int(lead))) for lead in leads)
        figure, axes = panel_grid(rows, len(leads), 2.6, least_width=_LEAST_WIDTH)
        for column, lead in enumerate(leads):
            for row, (title, field, probability) in enumerate(self.fields(int(lead))):
                colours = probability_colours() if probability else rain_colours()
                draw(axes[row, column], field, *colours, self.basemap)
                axes[row, column].set_title(f"{title}, +{self.minutes[lead]:g} min", fontsize=8)
        self._finish(figure, _wrapped(figure, f"{self.product} · from {stamp(self.start)} UTC"))
        return figure

    def animate(self, path: Path, frames_per_second: float) -> None:
        """One frame a time: observed context, then the lead times."""
        count = len(self.fields(0))
        columns = min(3, count)
        figure, axes = panel_grid(-(-count // columns), columns, 3.2, least_width=_LEAST_WIDTH)
        headings = [f"{stamp(time)} UTC · observed" for time in self.context] + [
            f"{stamp(time)} UTC · +{minutes:g} min from {stamp(self.start)}"
            for time, minutes in zip(self.valid, self.minutes, strict=True)
        ]
        headings = [_wrapped(figure, f"{self.product} · {heading}") for heading in headings]
        # Laid out once, with every panel filled, so that nothing moves but the rain.
        heading = self._finish(figure, max(headings, key=lambda text: text.count("\n")))
        self._fill(axes, self.fields(0))
        shown = [self._observed(time) for time in self.context]
        shown += [self.fields(lead) for lead in range(len(self.valid))]

        def turn(number: int) -> None:
            heading.set_text(headings[number])
            self._fill(axes, shown[number])

        write_animation(figure, path, len(shown), turn, frames_per_second)

    def _fill(self, axes: NDArray[Any], fields: list[tuple[str, NDArray[np.float32], bool]]) -> None:
        for axis in axes.flat:
            axis.clear()
            axis.set_axis_off()
        for axis, (title, field, probability) in zip(axes.flat, fields, strict=False):
            draw(axis, field, *(probability_colours() if probability else rain_colours()), self.basemap)
            axis.set_title(title, fontsize=9)

    def _finish(self, figure: "Figure", heading: str) -> "Text":
        """Colour bars, heading and what model it is; returns the heading."""
        from matplotlib.cm import ScalarMappable

        colour_map, norm = rain_colours()
        bar = figure.colorbar(
            ScalarMappable(norm, colour_map),
            ax=figure.axes,
            location="right",
            fraction=0.03,
            pad=0.01,
            extend="max",
        )
        bar.set_label("rain rate in mm/h (grey: no forecast, or not observed)")
        colour_map, norm = probability_colours()
        bar = figure.colorbar(
            ScalarMappable(norm, colour_map), ax=figure.axes[:-1], location="bottom", fraction=0.03, pad=0.01
        )
        bar.set_label(f"probability of at least {self.threshold:g} mm/h")
        # A label of the figure, unlike a text, gets room of its own.
        figure.supxlabel(self.source, x=0.005, ha="left", fontsize=6, color="0.4")
        return figure.suptitle(heading, fontsize=10)


def _wrapped(figure: "Figure", text: str) -> str:
    """A heading in lines that the figure has room for."""
    return fill(text, max(int(figure.get_figwidth() * _CHARACTERS_AN_INCH), 1))


def plot_archive(series: Sequence["ArchiveInfo"], path: Path | str) -> None:
    """Draw each series of an archive: its wettest frame, and how often it rains how hard (``.png``).

    Raises:
        ObservationError: a file name of another kind.
        OutputError: a place that no file can be written to.
    """
    from ssldm.radar.archive_info import INTENSITIES

    path = as_path(path, OutputError)
    _kind_of_picture(path, (".png",))
    check_outside_of_stores(path)
    check_output(path)
    figure, axes = panel_grid(len(series), 2, 4.0)
    colour_map, norm = rain_colours()
    for (left, right), info in zip(axes, series, strict=True):
        draw(left, info.wettest, colour_map, norm)
        left.set_title(f"{info.place or info.product}, {stamp(info.wettest_time)}", fontsize=9)
        classes = range(1, len(info.histogram))
        right.bar(classes, info.histogram[1:], color="tab:blue")
        right.set_yscale("log")
        right.set_xticks(classes, [f"≥ {edge:g}" for edge in INTENSITIES], fontsize=7)
        right.set_xlabel("mm/h", fontsize=8)
        right.set_title(f"share of observed pixels; {info.wet_fraction:.1%} wet", fontsize=9)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=110, format="png")


def _kind_of_picture(path: Path, kinds: Sequence[str]) -> str:
    kind = path.suffix.lower()
    if kind not in kinds:
        raise ObservationError(f"{path}: expected a name ending in {', '.join(kinds)}")
    return kind
