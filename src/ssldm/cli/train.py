"""`ssldm train`: an autoencoder, then a prior or a denoiser on its latents; or a U-Net to compare with."""

from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value ...]", help="Overrides of the preset.")
]
PresetName = Annotated[str, typer.Option(help="paper, base, small, tiny, or a file.")]
Archives = Annotated[
    list[str], typer.Option("--data", help="Archive to train on, a folder or URL; may be repeated.")
]
ValidationArchives = Annotated[
    list[str] | None,
    typer.Option(
        "--validation",
        help="Archive of other events to validate on; may be repeated; else a fifth of the events.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Devices = Annotated[
    int, typer.Option(min=1, help="Processes on each node, one a GPU, or on CPUs where there is none.")
]
Nodes = Annotated[int, typer.Option(min=1, help="Machines that train together.")]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Train on archives.", rich_markup_mode=None)
    group.command()(autoencoder)
    group.command()(denoiser)
    group.command()(prior)
    group.command()(unet)
    app.add_typer(group, name="train")


def autoencoder(
    data: Archives,
    out: Out,
    validation: ValidationArchives = None,
    preset: PresetName = "small",
    resume: Resume = False,
    devices: Devices = 1,
    nodes: Nodes = 1,
    overrides: Overrides = None,
) -> None:
    """Train the autoencoder with the intensity-structure loss."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.training.distribution import Distribution
    from ssldm.training.run import train_autoencoder

    distribution = Distribution(devices, nodes)
    _tell(train_autoencoder(loaded, data, validation or [], out, resume=resume, distribution=distribution))


def denoiser(
    data: Archives,
    out: Out,
    autoencoder: Annotated[Path, typer.Option(help="Run of `ssldm train autoencoder`.")],
    validation: ValidationArchives = None,
    preset: PresetName = "small",
    resume: Resume = False,
    devices: Devices = 1,
    nodes: Nodes = 1,
    overrides: Overrides = None,
) -> None:
    """Train the denoiser on the latents of a trained autoencoder."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.cli.progress import over_items
    from ssldm.training.distribution import Distribution
    from ssldm.training.run import train_denoiser

    weights = train_denoiser(
        loaded, data, validation or [], autoencoder, out,
        resume=resume, distribution=Distribution(devices, nodes), progress=over_items("latents"),
    )  # fmt: skip
    _tell(weights)


def prior(
    out: Out,
    autoencoder: Annotated[
        Path,
        typer.Option(help="Run of `ssldm train autoencoder`, or a folder of weights, of the kind block."),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="Archive to train on; may be repeated; not needed where the pack is there."
        ),
    ] = None,
    pack: Annotated[
        Path | None,
        typer.Option(
            help="File of the windows, built from the archives unless it is there.",
            show_default="train.pack in the run's folder",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PRODUCT", help="Product to leave out and validate on; may be repeated."),
    ] = None,
    preset: PresetName = "small",
    resume: Resume = False,
    devices: Devices = 1,
    nodes: Nodes = 1,
    overrides: Overrides = None,
) -> None:
    """Train what is expected of the rain, of the shipped kind of model: no denoiser."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.cli.progress import over_items
    from ssldm.training.distribution import Distribution
    from ssldm.training.prior_run import train_prior

    weights = train_prior(
        loaded, data or (), autoencoder, out,
        pack=pack, without=without or (), resume=resume, distribution=Distribution(devices, nodes),
        progress=over_items("motion"),
    )  # fmt: skip
    _tell(weights)


def unet(
    data: Archives,
    out: Out,
    validation: ValidationArchives = None,
    preset: PresetName = "small",
    resume: Resume = False,
    devices: Devices = 1,
    nodes: Nodes = 1,
    overrides: Overrides = None,
) -> None:
    """Train the deterministic U-Net that stands beside the model in verification."""
    from ssldm.training.preset import load_preset

    loaded = load_preset(preset, overrides or ())
    from ssldm.training.distribution import Distribution
    from ssldm.training.run import train_unet

    distribution = Distribution(devices, nodes)
    _tell(train_unet(loaded, data, validation or [], out, resume=resume, distribution=distribution))


def _tell(weights: Path) -> None:
    """Say where the weights are, once."""
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only(typer.echo)(f"weights: {weights}")
