"""What calls of a denoiser cost: the paper's recipe with some, beside the shipped model, which has none."""

import warnings
from functools import partial

from benchmark.domains import square_domain
from benchmark.measure import Options, Row, in_turn, seconds

from ssldm import Nowcaster, open_radar
from ssldm.forecast.nowcaster import InputDepartsFromTraining
from ssldm.model.latent_diffusion import ModelConfig, ModelParts
from ssldm.training.preset import load_preset

PART = "calls"
CALLS = (1, 2, 4, 10)
PRESET = "paper-small"


def measure(options: Options) -> list[Row]:
    """Time of a forecast of the square domain by calls: weights that learned nothing take as long as any."""
    warnings.simplefilter("ignore", InputDepartsFromTraining)
    observations = open_radar(square_domain(options).path).load()
    asked = {"members": options.sizes.members, "lead_time": f"{5 * options.sizes.frames}min"}
    shipped = Nowcaster.from_pretrained(options.model, device=options.device)
    published = Nowcaster(_untrained().build(), PRESET, device=options.device)
    forecasts = {options.model: partial(shipped.nowcast, observations, **asked)} | {
        f"{PRESET}, calls: {number}": partial(published.nowcast, observations, steps=number, **asked)
        for number in CALLS
    }
    runs = in_turn({name: partial(seconds, once) for name, once in forecasts.items()}, options.rounds)
    remark = f"{options.sizes.members} members"
    return [Row.median(PART, name, times, remark=remark) for name, times in runs.items()]


def _untrained() -> ModelConfig:
    preset = load_preset(PRESET)
    return ModelConfig(
        name=PRESET,
        context_frames=preset.window.context_frames,
        lead_frames=preset.window.lead_frames,
        step_minutes=preset.window.step_minutes,
        training_size=preset.window.size,
        **{part: getattr(preset, part) for part in ModelParts.model_fields},
    )
