"""How long and how fast a network is trained."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ssldm.config import Config


class OptimisationConfig(Config):
    """How a network is trained: AdamW, linear warm-up, cosine decay, EMA.

    Attributes:
        steps: optimiser steps.
        steps_per_epoch: steps between checkpoints.
        validate_epochs: a validation follows each so many epochs.
        batch_size: windows or crops a step.
        learning_rate: the largest, at the end of the warm-up; it falls to a hundredth.
        weight_decay: of AdamW.
        warmup_steps: steps in which the learning rate rises.
        clip_norm: largest norm of the gradient.
        ema_decay: decay of the exponential moving average of the weights.
        precision: Lightning's name of the arithmetic; "auto" is "bf16-mixed" where the hardware has it.
        workers: processes that read data.
        seed: of all random numbers of the training.
    """

    steps: PositiveInt
    steps_per_epoch: PositiveInt = 200
    validate_epochs: PositiveInt = 1
    batch_size: PositiveInt = 16
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.01
    warmup_steps: NonNegativeInt = 200
    clip_norm: NonNegativeFloat = 1.0
    ema_decay: float = Field(default=0.999, ge=0.0, le=1.0)
    precision: Literal["auto", "bf16-mixed", "16-mixed", "32-true"] = "auto"
    workers: NonNegativeInt = 0
    seed: int = Field(default=0, ge=0, lt=2**31)
