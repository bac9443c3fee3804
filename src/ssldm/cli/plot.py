"""`ssldm plot`: a forecast as a picture or an animation."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(plot)


def plot(
    forecast: Annotated[Path, typer.Argument(metavar="N.nc", help="A forecast of `ssldm nowcast`.")],
    out: Annotated[Path, typer.Option(help="The picture to write: .gif, .mp4 or .png.")],
    observations: Annotated[
        list[str] | None, typer.Option(help="Radar files on its grid to show beside it; may be repeated.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Rain rate in mm/h of the probability panel.")] = 2.0,
) -> None:
    """Draw members, mean and probability of a forecast."""
    from ssldm.forecast.dataset import open_nowcast
    from ssldm.plotting import check_picture_output, plot_nowcast
    from ssldm.products.nowcast import check_threshold
    from ssldm.radar.isolation import open_isolated

    check_picture_output(out, [forecast, *(observations or [])])
    check_threshold(threshold)
    opened = open_nowcast(forecast)
    observed = open_isolated(observations) if observations else None
    plot_nowcast(opened, out, observations=observed, threshold=threshold)
    typer.echo(str(out))
