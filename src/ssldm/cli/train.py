"""`ssldm train`: an autoencoder, then a denoiser on its latents; or a plain U-Net to compare with."""

from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value ...]", help="Overrides of the preset.")
]
PresetName = Annotated[str, typer.Option(help="paper, base, small, tiny, or a file.")]
Archives = Annotated[list[Path], typer.Option("--data", help="Archive to train on; may be repeated.")]
ValidationArchives = Annotated[
    list[Path] | None,
    typer.Option(
        "--validation",
        help="Archive of other events to validate on; may be repeated; else a fifth of the events.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Train on archives.", rich_markup_mode=None)
    group.command()(autoencoder)
    group.command()(denoiser)
    group.command()(unet)
    app.add_typer(group, name="train")


def autoencoder(
    data: Archives,
    out: Out,
    validation: ValidationArchives = None,
    preset: PresetName = "small",
    resume: Resume = False,
    overrides: Overrides = None,
) -> None:
    """Train the autoencoder with the intensity-structure loss."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.training.run import train_autoencoder

    typer.echo(f"weights: {train_autoencoder(loaded, data, validation or [], out, resume=resume)}")


def denoiser(
    data: Archives,
    out: Out,
    autoencoder: Annotated[Path, typer.Option(help="Run of `ssldm train autoencoder`.")],
    validation: ValidationArchives = None,
    preset: PresetName = "small",
    resume: Resume = False,
    overrides: Overrides = None,
) -> None:
    """Train the denoiser on the latents of a trained autoencoder."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.cli.progress import over_items
    from ssldm.training.run import train_denoiser

    weights = train_denoiser(
        loaded, data, validation or [], autoencoder, out, resume=resume, progress=over_items("latents")
    )
    typer.echo(f"weights: {weights}")


def unet(
    data: Archives,
    out: Out,
    validation: ValidationArchives = None,
    preset: PresetName = "small",
    resume: Resume = False,
    overrides: Overrides = None,
) -> None:
    """Train the deterministic U-Net that stands beside the model in verification."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.training.run import train_unet

    typer.echo(f"weights: {train_unet(loaded, data, validation or [], out, resume=resume)}")
