"""`ssldm products`: what a forecaster and a hydrologist take away, in files."""

from pathlib import Path
from typing import Annotated

import typer

from ssldm.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    app.command()(products)


def products(
    forecast: Annotated[Path, typer.Argument(metavar="N.nc", help="A forecast of `ssldm nowcast`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")],
    quantiles: Annotated[str, typer.Option(help="Probabilities, 0 to 1.")] = "0.1,0.5,0.9",
    thresholds: Annotated[
        str, typer.Option(help="Rates in mm/h, and amounts in mm of each period, for probabilities.")
    ] = "1,5,10",
    periods: Annotated[str, typer.Option(help="Of amounts, such as 15min,60min.")] = "",
    observations: Annotated[
        list[str] | None,
        typer.Option(help="Radar files on its grid, joined in front for amounts; may be repeated."),
    ] = None,
    points: Annotated[
        Path | None, typer.Option(metavar="P.csv", help="Points: columns name, lat and lon (or x and y).")
    ] = None,
    polygons: Annotated[
        Path | None, typer.Option(metavar="B.geojson", help="Catchments: GeoJSON, GeoPackage, …")
    ] = None,
    least_covered: Annotated[
        float, typer.Option(help="Share of a catchment that must be forecast, for its mean.")
    ] = 1.0,
    format: Annotated[str, typer.Option(help="Of the maps: nc, zarr or cog (GeoTIFF).")] = "nc",  # noqa: A002
) -> None:
    """Write products of a forecast: maps, and tables of points and catchments."""
    from ssldm.config_file import parsed
    from ssldm.forecast.dataset import open_nowcast
    from ssldm.paths import check_no_source
    from ssldm.product_files import write_asked
    from ssldm.products_config import ProductsConfig
    from ssldm.radar.isolation import open_isolated

    check_no_source(out, [forecast, *(observations or []), *filter(None, (points, polygons))])
    asked = parsed(
        ProductsConfig,
        {
            "quantiles": _numbers("quantiles", quantiles),
            "thresholds": _numbers("thresholds", thresholds),
            "periods": _words(periods),
            "points": points,
            "polygons": polygons,
            "least_covered": least_covered,
            "format": format,
        },
    )
    observed = open_isolated(observations) if observations else None
    for path in write_asked(open_nowcast(forecast), asked, out, observed):
        typer.echo(str(path))


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in _words(text)]
    except ValueError as error:
        raise ConfigurationError(f"expected numbers as {name}, such as 1,5,10, found {text!r:.80}") from error


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
