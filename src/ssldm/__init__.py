"""Ensemble rain nowcasting with spacetime separable latent diffusion (Ling et al., IEEE TGRS 2024)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssldm.nowcast.nowcaster import Nowcaster
    from ssldm.radar.open import open_radar
    from ssldm.radar.simulation import simulate

__all__ = ["Nowcaster", "open_radar", "simulate"]

_HOME = {
    "Nowcaster": "ssldm.nowcast.nowcaster",
    "open_radar": "ssldm.radar.open",
    "simulate": "ssldm.radar.simulation",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing the package is quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'ssldm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
