"""What all trainings share: optimiser, callbacks, trainer."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from ssldm.errors import ConfigurationError, ModelError
from ssldm.model.precision import has_fast_bfloat16
from ssldm.training.distribution import ALONE, Distribution, ending_together
from ssldm.training.optimisation_config import OptimisationConfig

CHECKPOINT = "last.ckpt"
# Steps between looks at the loss.
_LOOKED_AT = 20


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one optimiser step: a resumed run draws the same."""
    return torch.Generator().manual_seed((seed << 32) + step)


def configure_optimiser(parameters: Iterable[torch.nn.Parameter], config: OptimisationConfig) -> Any:
    """AdamW; the rate rises linearly, then falls as a half cosine to a hundredth."""

    def factor(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        progress = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))

    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {
        "optimizer": optimiser,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }


def precision_of(config: OptimisationConfig) -> Any:
    """Lightning's name of the arithmetic: what is asked for, or what suits this machine."""
    if config.precision != "auto":
        return config.precision
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return "bf16-mixed" if has_fast_bfloat16(device) else "32-true"


class ExportWeights(lightning.Callback):
    """Writes the averaged weights after every validation, so that a run can be used while it goes on."""

    def __init__(self, write: Callable[[], None]) -> None:
        self.write = write

    def on_validation_end(self, *_: object) -> None:
        """Lightning validates with the averaged weights in place."""
        self.write()


class TimeLeft(lightning.Callback):
    """Shows the minutes that the whole run still needs beside the progress of the epoch."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: object
    ) -> None:
        """Extrapolate the pace of this sitting."""
        step, now = trainer.global_step, time.monotonic()
        if self._first is None:
            self._first = step, now
        elif step > self._first[0]:
            pace = (now - self._first[1]) / (step - self._first[0])
            left = pace * (trainer.max_steps - step) / 60.0
            pl_module.log("minutes_left", left, prog_bar=True, logger=False)


class StopWhereUndefined(lightning.Callback):
    """Ends a training whose loss is no number any more, before a checkpoint is made of it."""

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
        outputs: Any,
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Look now and then, as an accelerator has to be waited for."""
        if not trainer.is_global_zero:  # the loss is the same in all processes
            return
        last = batch_idx + 1 == trainer.num_training_batches
        if (last or trainer.global_step % _LOOKED_AT == 0) and not bool(outputs["loss"].isfinite()):
            raise ModelError(
                f"the loss is no number at step {trainer.global_step}: begin again with a smaller "
                "learning_rate, or with precision=32-true"
            )


def check_run(out: Path, *, resume: bool) -> None:
    """Refuse to begin a run over another, or to resume one that has not begun.

    Args:
        out: folder of the run.
        resume: whether it is to go on.

    Raises:
        ConfigurationError: a file instead of a folder, a run that is not to be resumed, or none that is.
    """
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"expected a folder for the run, found a file at {out}")
    begun = (out / CHECKPOINT).exists()
    if begun and not resume:
        raise ConfigurationError(f"{out} holds a run already: resume it, or choose another folder")
    if resume and not begun:
        raise ConfigurationError(f"expected a checkpoint to resume from, found none at {out / CHECKPOINT}")


def _read_checkpoint(path: Path, module: lightning.LightningModule) -> tuple[int, dict[str, torch.Tensor]]:
    """Steps and averaged weights; refuses a damaged checkpoint, and one of networks of other sizes."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=False)
        steps, found = int(content["global_step"]), content["state_dict"]
    except Exception as error:  # torch raises many kinds on what is damaged
        raise ModelError(f"{path}: not a checkpoint, or a damaged one ({type(error).__name__})") from error
    expected = module.state_dict()
    for name in sorted(expected.keys() | found.keys()):
        shapes = [tuple(state[name].shape) if name in state else None for state in (expected, found)]
        if shapes[0] != shapes[1]:
            raise ConfigurationError(
                f"{path}: expected the run of this preset, found another, whose {name} has the shape "
                f"{shapes[1]} and not {shapes[0]}"
            )
    return steps, found


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    config: OptimisationConfig,
    out: Path,
    *,
    resume: bool,
    distribution: Distribution = ALONE,
    extra_callbacks: Iterable[lightning.Callback] = (),
) -> None:
    """Train to the end, with a checkpoint after every epoch; ``module`` ends with the averaged weights.

    Raises:
        ConfigurationError: see `check_run` and `Distribution`; or the run to resume is of other networks.
        ModelError: a damaged checkpoint, or a loss that is no number.
        ProcessError: another process of the training is gone.
    """
    check_run(out, resume=resume)
    checkpoint = out / CHECKPOINT
    steps, averaged = _read_checkpoint(checkpoint, module) if resume else (0, {})
    if steps >= config.steps:  # Lightning would leave the weights that were not averaged
        module.load_state_dict(averaged)
        return
    out.mkdir(parents=True, exist_ok=True)
    trainer = distribution.trainer(
        precision=precision_of(config),
        # Steps alone end a run: with max_epochs as well, a resumed run ends with other weights.
        max_steps=config.steps,
        limit_train_batches=config.steps_per_epoch,
        check_val_every_n_epoch=config.validate_epochs,
        num_sanity_val_steps=0,
        gradient_clip_val=config.clip_norm,
        log_every_n_steps=min(20, config.steps_per_epoch),
        logger=[
            CSVLogger(out, name="log"),  # a version for each sitting: it would delete an earlier one
            TensorBoardLogger(out, name="", version="tensorboard"),
        ],
        callbacks=[
            lightning_callbacks.EMAWeightAveraging(decay=config.ema_decay),
            lightning_callbacks.ModelCheckpoint(
                dirpath=out,
                filename=CHECKPOINT.removesuffix(".ckpt"),
                every_n_epochs=1,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
            lightning_callbacks.RichProgressBar(),
            TimeLeft(),
            StopWhereUndefined(),
            *extra_callbacks,
        ],
        enable_model_summary=False,
    )
    with ending_together(trainer):
        trainer.fit(module, data, ckpt_path=checkpoint if resume else None, weights_only=False)
