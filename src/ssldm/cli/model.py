"""`ssldm model`: what some weights are, and published checkpoints made loadable."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Weights.", rich_markup_mode=None)
    for command in (info, convert, push):
        group.command()(command)
    app.add_typer(group, name="model")


def info(
    model: Annotated[str, typer.Argument(help="Shipped model, folder, or hub repository.")] = "small",
) -> None:
    """Print the configuration of a model."""
    from ssldm.forecast.nowcaster import Nowcaster

    nowcaster = Nowcaster.from_pretrained(model, device="cpu")
    parameters = sum(p.numel() for p in nowcaster.model.parameters())
    typer.echo(f"{nowcaster.source}: {parameters / 1e6:.1f} M parameters")
    typer.echo(nowcaster.config.model_dump_json(indent=2))


def convert(
    autoencoder: Annotated[Path, typer.Argument(metavar="Autoencoder.pth", help="Published autoencoder.")],
    denoiser: Annotated[Path, typer.Argument(metavar="pre.pth", help="Published denoiser.")],
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    averaged: Annotated[
        bool, typer.Option(help="Take the averaged copy (model_ema.) of the denoiser.")
    ] = False,
    heads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Heads of the denoiser's spatial attention, if not as published.", show_default="8"
        ),
    ] = None,
) -> None:
    """Convert the published checkpoints to a weights folder."""
    from ssldm.forecast.published import convert_checkpoints

    convert_checkpoints(autoencoder, denoiser, out, averaged=averaged, spatial_heads=heads)
    typer.echo(str(out))


def push(
    model: Annotated[str, typer.Argument(help="Shipped model or folder.")],
    repository: Annotated[str, typer.Argument(help="user/repository on the Hugging Face Hub.")],
) -> None:
    """Upload a model to the Hugging Face Hub."""
    from ssldm.errors import ModelError
    from ssldm.forecast.nowcaster import Nowcaster

    nowcaster = Nowcaster.from_pretrained(model, device="cpu")
    try:
        nowcaster.push_to_hub(repository)
    except Exception as error:  # the hub client raises many kinds
        raise ModelError(
            f"{repository}: not uploaded ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from error
    typer.echo(repository)
