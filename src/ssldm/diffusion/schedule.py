"""The noise schedule and the samplers that run on it, all of them `diffusers` schedulers."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from ssldm.config import Config

if TYPE_CHECKING:
    from diffusers import DDPMScheduler, SchedulerMixin

SamplerName = Literal["ddpm", "ddim", "dpm-solver++", "unipc"]
_SCHEDULERS: dict[SamplerName, tuple[str, dict[str, object]]] = {
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    # The first-order solver is DDIM (Lu et al. 2022, DPM-Solver++, sec. 4.1); diffusers' own DDIM goes astray
    # where the number of steps does not divide that of the training timesteps.
    # Steps uniform in the logarithm of the signal-to-noise ratio: uniform timesteps lose a quarter of the
    # deviation of small-scale structure in ten steps (docs/research/sampling.md).
    "ddim": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 1, "use_lu_lambdas": True},
    ),
    "dpm-solver++": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_lu_lambdas": True},
    ),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2, "use_exponential_sigmas": True}),
}


class DiffusionConfig(Config):
    """The forward process and what the network predicts; the defaults are the published ones.

    Attributes:
        timesteps: number of steps of the forward process.
        beta_start, beta_end: first and last β.
        beta_schedule: ``scaled_linear`` is linear in √β (LDM's and the published "linear");
            ``squaredcos_cap_v2`` the cosine schedule.
        prediction: noise ε, velocity v = √ᾱ ε - √(1-ᾱ) z₀ (Salimans and Ho, 2022), or ``sample``, z₀ with the
            loss of v, for a network that is too narrow to pass the noise through.
    """

    timesteps: int = Field(default=1000, ge=2)
    beta_start: float = Field(default=1e-4, gt=0.0, lt=1.0)
    beta_end: float = Field(default=2e-2, gt=0.0, lt=1.0)
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon"

    @model_validator(mode="after")
    def _noise_grows(self) -> Self:
        if self.beta_end < self.beta_start:
            raise ValueError(
                f"expected beta_end of at least beta_start={self.beta_start:g}, found {self.beta_end:g}"
            )
        return self

    def build_scheduler(self, sampler: SamplerName = "ddpm") -> "SchedulerMixin":
        """The named sampler on this schedule."""
        import diffusers

        name, options = _SCHEDULERS[sampler]
        # Few steps only reach pure noise when their spacing ends at the last timestep.
        return getattr(diffusers, name)(
            num_train_timesteps=self.timesteps,
            beta_start=self.beta_start,
            beta_end=self.beta_end,
            beta_schedule=self.beta_schedule,
            prediction_type=self.prediction,
            timestep_spacing="trailing",
            **options,
        )

    def build_forward_process(self) -> "DDPMScheduler":
        """The forward process, for training."""
        return self.build_scheduler("ddpm")
