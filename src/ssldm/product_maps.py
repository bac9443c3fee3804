"""One product of a forecast as a large map, still or moving."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ssldm.atomic import replacing
from ssldm.checks import one_of
from ssldm.drawable import covered, drawable, start_of
from ssldm.errors import ArgumentError, ConfigurationError, OutputError
from ssldm.observed_beside import ObservedBeside
from ssldm.paths import as_path
from ssldm.plotting import CONTEXT_FRAMES, STILL, basemap_of, check_picture_output, write_animation
from ssldm.radar.observations import NAME
from ssldm.rain_maps import draw, panel_grid, probability_colours, rain_colours, save_still, stamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MapProduct = Literal["mean", "matched_mean", "member", "quantile", "probability"]
PRODUCTS: tuple[MapProduct, ...] = get_args(MapProduct)
_INCHES = 7.0


@dataclass(frozen=True)
class MapChoice:
    """Which product of a forecast, see `ssldm.products`.

    Attributes:
        product: one of `PRODUCTS`.
        threshold: of a probability, in mm/h, or in mm of a period.
        quantile: probability of a quantile, 0 to 1.
        member: its number.
        period: such as "60min", for a quantile or probability of amounts.
    """

    product: MapProduct
    threshold: float = 2.0
    quantile: float = 0.5
    member: int = 0
    period: str | None = None

    def of(self, forecast: xr.Dataset) -> tuple[str, NDArray[np.float32]]:
        """What it is called, and its fields ``(lead_time, y, x)``.

        Raises:
            ConfigurationError: values that do not fit, or a period of a product that has none.
        """
        one_of("product", self.product, PRODUCTS)
        if self.period is not None and self.product not in ("quantile", "probability"):
            raise ConfigurationError(f"expected a quantile or probability of a period, found {self.product}")
        fields: xr.DataArray
        of = f" in {self.period}" if self.period else ""
        match self.product:
            case "mean":
                title, fields = "ensemble mean", forecast.ssldm.mean()
            case "matched_mean":
                title, fields = "probability-matched mean", forecast.ssldm.probability_matched_mean()
            case "member":
                if self.member not in forecast["member"].values:
                    raise ConfigurationError(f"expected a member of the forecast, found {self.member}")
                title, fields = f"member {self.member}", forecast[NAME].sel(member=self.member)
            case "quantile":
                title = f"{100 * self.quantile:g}% quantile of {'amounts' if of else 'rates'}{of}"
                fields = forecast.ssldm.quantile(self.quantile, period=self.period)
            case "probability":
                unit = "mm" if of else "mm/h"
                title = f"probability of at least {self.threshold:g} {unit}{of}"
                fields = forecast.ssldm.exceedance_probability(self.threshold, period=self.period)
        return title, fields.transpose("lead_time", "y", "x").values

    @property
    def unit(self) -> str:
        """Of the values."""
        return "1" if self.product == "probability" else "mm" if self.period else "mm/h"


def plot_map(
    forecast: xr.Dataset,
    path: Path | str,
    choice: MapChoice,
    *,
    lead_time: np.timedelta64 | None = None,
    observations: xr.DataArray | None = None,
    towns: pd.DataFrame | None = None,
    frames_per_second: float = 4.0,
) -> None:
    """Draw a product: one lead time (``.png``, ``.svg``), or all lead times (``.gif``, ``.mp4``).

    With coasts, borders, towns, degrees and a scale; cropped to what is forecast.

    Args:
        forecast: as `Nowcaster.nowcast` returns it, or with its axes in another order.
        path: the picture to write.
        choice: which product.
        lead_time: of a still picture; the last if None.
        observations: on the grid of the forecast, shown before it in an animation.
        towns: columns name, lat and lon; those that come in the package if None.
        frames_per_second: of an animation.

    Raises:
        ObservationError, ConfigurationError, OutputError: see `ssldm.plotting.plot_nowcast`, `MapChoice.of`.
    """
    path = as_path(path, OutputError)
    check_picture_output(path)
    forecast = drawable(forecast)
    shown = covered(forecast)
    observed = None if observations is None else ObservedBeside.of(observations, forecast)
    forecast = forecast.isel(shown)
    title, fields = choice.of(forecast)
    number = _number(forecast, lead_time)
    canvas = _Map(forecast, choice, title, towns)
    suffix = path.suffix.lower()
    with replacing(path) as aside:
        if suffix in STILL:
            canvas.turn(fields[number], _heading(forecast, number))
            save_still(canvas.figure, aside, suffix)
            return
        frames = []
        if observed is not None and choice.product != "probability":
            for time in observed.until(start_of(forecast), CONTEXT_FRAMES):
                _, field = observed.at(time)
                if field is not None:
                    frames.append((field[shown["y"], shown["x"]], f"{stamp(time)} UTC · observed"))
        frames += [(field, _heading(forecast, lead)) for lead, field in enumerate(fields)]
        canvas.turn(*frames[-1])
        write_animation(
            canvas.figure, aside, len(frames), lambda frame: canvas.turn(*frames[frame]), frames_per_second
        )


class _Map:
    """A figure of one panel that is turned from field to field."""

    def __init__(
        self, forecast: xr.Dataset, choice: MapChoice, title: str, towns: pd.DataFrame | None
    ) -> None:
        from matplotlib.cm import ScalarMappable

        height, width = forecast.sizes["y"], forecast.sizes["x"]
        self.figure, axes = panel_grid(1, 1, _INCHES, tall=height / width)
        self.axis: Axes = axes[0, 0]
        self.basemap = basemap_of(forecast, towns)
        self.colours = probability_colours() if choice.product == "probability" else rain_colours()
        colour_map, norm = self.colours
        extend = "min" if choice.product == "probability" else "max"
        mappable = ScalarMappable(norm, colour_map)
        bar = self.figure.colorbar(mappable, ax=self.axis, fraction=0.04, pad=0.02, extend=extend)
        unit = "" if choice.unit == "1" else f" in {choice.unit}"
        bar.set_label(f"{title}{unit} (grey: no forecast, or not observed)")
        product = forecast.attrs.get("observations", "unknown product")
        self.axis.set_title(f"{product} · {title}", fontsize=11)
        share = float(forecast[NAME].isel(member=0).notnull().mean())
        about = f"{forecast.attrs.get('source', 'unknown source')} · {forecast.sizes['member']} members"
        self.figure.supxlabel(
            f"{about} · {share:.0%} of this map is forecast", x=0.01, ha="left", fontsize=7, color="0.4"
        )
        self.heading = self.figure.suptitle("", fontsize=12, fontweight="bold")

    def turn(self, field: NDArray[np.float32], heading: str) -> None:
        """Show a field under a heading."""
        title = self.axis.get_title()
        self.axis.clear()
        draw(self.axis, field, *self.colours, self.basemap, full=True)
        self.axis.set_title(title, fontsize=11)
        self.heading.set_text(heading)


def _heading(forecast: xr.Dataset, lead: int) -> str:
    minutes = forecast["lead_time"].values[lead] / np.timedelta64(1, "m")
    valid = stamp(forecast["valid_time"].values[lead])
    return f"{valid} UTC · +{minutes:g} min from {stamp(start_of(forecast))}"


def _number(forecast: xr.Dataset, lead_time: np.timedelta64 | None) -> int:
    lead = forecast["lead_time"].values
    if lead_time is None:
        return len(lead) - 1
    found = np.flatnonzero(lead == lead_time)
    if not len(found):
        given, first, last = (each / np.timedelta64(1, "m") for each in (lead_time, lead[0], lead[-1]))
        raise ArgumentError(
            f"expected a lead time of the forecast, {first:g} to {last:g} min, found {given:g} min"
        )
    return int(found[0])
