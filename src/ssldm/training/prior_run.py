"""The training of a prior from archives, or a pack of their windows, to the weights of a whole model."""

from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path

import lightning
import torch

from ssldm.config import suggestion
from ssldm.errors import ConfigurationError
from ssldm.model.block_autoencoder import BlockAutoencoderConfig
from ssldm.model.storm_model import StormConfig, StormModel
from ssldm.radar.windows import step_minutes_of
from ssldm.training.autoencoder_weights import CodedWeights, differences, load_coded
from ssldm.training.distribution import ALONE, Distribution
from ssldm.training.optimisation import check_run
from ssldm.training.pack import PackConfig, Progress, build_pack, pack_identity
from ssldm.training.packed_series import PackedSeries, read_header, read_pack
from ssldm.training.preset import Preset
from ssldm.training.preset_file import write_preset
from ssldm.training.prior_fit import fit_prior, measure_latents, prior_windows, trained_on
from ssldm.training.series import open_products

PACK = "train.pack"
"""File of the windows in the folder of a run."""


def train_prior(
    preset: Preset,
    archives: Sequence[Path | str],
    autoencoder: Path,
    out: Path,
    *,
    pack: Path | None = None,
    without: Collection[str] = (),
    resume: bool = False,
    distribution: Distribution = ALONE,
    progress: Progress = lambda items, _: items,
) -> Path:
    """Train the prior of a model without a denoiser; returns the folder of the whole model's weights.

    Args:
        preset: sizes, losses and optimisation.
        archives: to train on; none where the pack is there.
        autoencoder: run of `train_autoencoder`, or a folder of weights.
        out: folder of the run: pack, checkpoint, logs, `model/`.
        pack: file of the windows, built from the archives unless it is there; in ``out`` if not given.
        without: products to leave out and validate on.
        resume: go on from the run's last checkpoint.
        distribution: over how many processes the training is spread; on many nodes the pack has to be there.
        progress: wraps the iteration over series while the pack is built.

    Raises:
        ConfigurationError: no block autoencoder, or not the preset's; neither archives nor a pack; a pack of
            other windows; a product that there is not; or see `Distribution`.
    """
    check_run(out, resume=resume)
    distribution.check(preset.prior_training.optimisation.batch_size)
    distribution.take_share()
    if distribution.nodes > 1 and not (pack or out / PACK).exists():
        raise ConfigurationError(
            f"expected a pack for a training on many nodes, found none: no {pack or out / PACK}"
        )
    coded = load_coded(autoencoder)
    _check_autoencoder(coded, preset, autoencoder)
    series = _packed(preset, archives, pack or out / PACK, progress)
    _check_products(without, series)
    training = preset.prior_training
    lightning.seed_everything(training.optimisation.seed, verbose=False)
    model = _model(preset, [each for each in series if each.product not in without], out.name)
    model.autoencoder.load_state_dict(coded.network.state_dict())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    windows = prior_windows(model.to(device), training, series, without, device)
    if coded.latent_std is None:
        measure_latents(model, windows.train, training.optimisation.seed)
    else:
        model.latent_std.copy_(coded.latent_std)
    write_preset(out, preset)
    return fit_prior(model, training, windows, out, resume=resume, distribution=distribution)


def pack_config(preset: Preset) -> PackConfig:
    """What the windows of a preset's packs are."""
    window = preset.window
    return PackConfig(
        context=window.context_frames,
        lead=window.lead_frames,
        least_lead=window.least_lead_frames or window.lead_frames,
        step_minutes=window.step_minutes,
        openings=preset.prior_training.openings,
    )


def _check_autoencoder(coded: CodedWeights, preset: Preset, folder: Path) -> None:
    if not isinstance(coded.config.autoencoder, BlockAutoencoderConfig):
        raise ConfigurationError(
            f"expected a block autoencoder, whose waves a prior forecasts, found one of kind "
            f"{coded.config.autoencoder.kind} in {folder}: train one of autoencoder={{kind: block, …}}"
        )
    if found := list(differences(coded.config, preset)):
        raise ConfigurationError(f"the autoencoder in {folder} is not the preset's: {', '.join(found)}")


def _packed(
    preset: Preset, archives: Sequence[Path | str], path: Path, progress: Progress
) -> list[PackedSeries]:
    """The series of a pack, which is built unless it is there."""
    window = preset.window
    if archives:
        series = open_products(archives)
        if not window.rescaled:
            series = [data for data in series if step_minutes_of(data) == window.step_minutes]
        config = pack_config(preset)
        if not path.exists():
            build_pack(series, path, config, progress=progress)
        elif read_header(path).identity != pack_identity(series, config):
            raise ConfigurationError(
                f"{path} holds windows of other archives or of other sizes: remove it, or choose another file"
            )
    elif not path.exists():
        raise ConfigurationError(f"expected archives or a pack of their windows, found neither: no {path}")
    if (context := read_header(path).context) != window.context_frames:
        raise ConfigurationError(
            f"expected windows of window.context_frames={window.context_frames}, found {context} in {path}"
        )
    return read_pack(path)


def _check_products(without: Collection[str], series: Sequence[PackedSeries]) -> None:
    products = sorted({each.product for each in series})
    for name in without:
        if name not in products:
            raise ConfigurationError(
                f"expected a product to leave out ({', '.join(products)}), "
                f"found {name!r}{suggestion(name, products)}"
            )
    if set(without) == set(products):
        raise ConfigurationError(f"expected a product to train on, found all left out: {', '.join(products)}")


def _model(preset: Preset, series: Sequence[PackedSeries], name: str) -> StormModel:
    window = preset.window
    return StormConfig(
        name=name,
        context_frames=window.context_frames,
        lead_frames=window.lead_frames,
        step_minutes=window.step_minutes,
        versions={package: version(package) for package in ("ssldm", "torch")},
        scaling=preset.scaling,
        autoencoder=preset.autoencoder,
        prior=preset.prior,
        noise=preset.noise,
        displacement=preset.displacement,
        postprocess=preset.postprocess,
        **trained_on(series, preset.prior_training.coarsenings),
    ).build()
