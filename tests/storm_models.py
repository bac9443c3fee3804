"""A small model without a denoiser."""

from ssldm.model.storm_model import StormConfig, StormModel


def untrained_storm_model(lead_frames: int, **changed: object) -> StormModel:
    """One with fresh weights."""
    return StormConfig(
        name="tiny storm",
        lead_frames=lead_frames,
        scaling={"kind": "power"},
        autoencoder={"kind": "block", "width": 8, "latent_channels": 10},
        prior={"width": 16},
        **changed,
    ).build()
