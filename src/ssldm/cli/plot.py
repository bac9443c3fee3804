"""`ssldm plot`: a forecast as a picture or an animation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssldm.cli.arguments import parse_numbers
from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def register(app: typer.Typer) -> None:
    app.command()(plot)


def plot(
    forecast: Annotated[Path, typer.Argument(metavar="N.nc", help="A forecast of `ssldm nowcast`.")],
    out: Annotated[Path, typer.Option(help="The picture to write: .gif, .mp4, .png or .svg.")],
    observations: Annotated[
        list[str] | None, typer.Option(help="Radar files on its grid to show beside it; may be repeated.")
    ] = None,
    product: Annotated[
        str | None,
        typer.Option(
            help="One large map: mean, matched_mean, member, quantile or probability.",
            show_default="mean, probability and members side by side",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="LAT,LON",
            help="Of one place instead: a fan of quantiles. X,Y in metres without a map projection.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Rain rate in mm/h of a probability; with --period, amount in mm.")
    ] = 2.0,
    quantile: Annotated[float, typer.Option(help="Probability of a quantile, 0 to 1.")] = 0.5,
    member: Annotated[int, typer.Option(min=0, help="Number of a member.")] = 0,
    period: Annotated[
        str | None, typer.Option(help="Such as 60min: quantile or probability of amounts.")
    ] = None,
    lead_time: Annotated[
        str | None, typer.Option(help="Of a still map, such as 60min.", show_default="the last")
    ] = None,
    towns: Annotated[
        Path | None,
        typer.Option(
            metavar="P.csv", help="Towns to show: columns name, lat and lon; else a few large ones."
        ),
    ] = None,
) -> None:
    """Draw a forecast: as a sheet or loop of panels, one product as a large map, or one place."""
    from ssldm.forecast.dataset import open_nowcast
    from ssldm.plotting import check_picture_output, plot_nowcast
    from ssldm.products.nowcast import check_threshold
    from ssldm.radar.isolation import open_isolated

    if product is not None and at is not None:
        raise ConfigurationError("expected --product or --at, found both")
    check_picture_output(out, [forecast, *(observations or []), *filter(None, [towns])])
    check_threshold(threshold)
    place = None if at is None else parse_numbers(at, "at", 2)
    opened = open_nowcast(forecast)
    observed = open_isolated(observations) if observations else None
    if place is not None:
        from ssldm.fan_chart import plot_fan

        there, name = _at(opened, *place)
        seen = observed.sel(x=there["x"], y=there["y"], method="nearest") if observed is not None else None
        plot_fan(there, out, observed=seen, name=name)
    elif product is not None:
        from ssldm.product_maps import MapChoice, plot_map
        from ssldm.radar.context import duration_of

        choice = MapChoice(product, threshold, quantile, member, period)  # type: ignore[arg-type]  # checked there
        plot_map(
            opened,
            out,
            choice,
            lead_time=None if lead_time is None else duration_of(lead_time),
            observations=observed,
            towns=None if towns is None else _towns(towns),
        )
    else:
        plot_nowcast(opened, out, observations=observed, threshold=threshold)
    typer.echo(str(out))


def _at(forecast: "xr.Dataset", first: float, second: float) -> "tuple[xr.Dataset, str]":
    """The forecast at a place, in degrees or else in metres, and what the place is called."""
    from ssldm.radar.grid import GRID_MAPPING

    if GRID_MAPPING not in forecast.coords:
        return forecast.ssldm.at(x=first, y=second), f"x {first:g} m, y {second:g} m"
    name = f"{abs(first):g}°{'N' if first >= 0 else 'S'}, {abs(second):g}°{'E' if second >= 0 else 'W'}"
    return forecast.ssldm.at(lat=first, lon=second), name


def _towns(path: Path) -> "pd.DataFrame":
    import pandas as pd

    from ssldm.product_tables import read_points

    points = read_points(path)
    if "lat" not in points:
        raise ConfigurationError(f"{path}: expected columns name, lat and lon, found x and y")
    return pd.DataFrame({"name": points["names"], "lat": points["lat"], "lon": points["lon"]})
