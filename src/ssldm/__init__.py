"""Ensemble rain nowcasting with spacetime separable latent diffusion (Ling et al., IEEE TGRS 2024)."""

import os as _os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssldm import accessor_hook as _accessor_hook  # noqa: F401

# Threads that wait sleep, if OpenMP has not been loaded before: on a machine that has other work, too, they
# would take the processors that they wait for, and a forecast many times as long.
_os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from ssldm.forecast.dataset import open_nowcast, write_nowcast
    from ssldm.forecast.nowcaster import Nowcaster
    from ssldm.radar.open import open_radar
    from ssldm.radar.simulation import simulate

__all__ = ["Nowcaster", "open_nowcast", "open_radar", "simulate", "write_nowcast"]

_HOME = {
    "Nowcaster": "ssldm.forecast.nowcaster",
    "open_nowcast": "ssldm.forecast.dataset",
    "open_radar": "ssldm.radar.open",
    "simulate": "ssldm.radar.simulation",
    "write_nowcast": "ssldm.forecast.dataset",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing the package is quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'ssldm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
