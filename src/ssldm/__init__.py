"""Ensemble rain nowcasting with spacetime separable latent diffusion (Ling et al., IEEE TGRS 2024)."""

import os as _os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssldm import accessor_hook as _accessor_hook  # noqa: F401

# Threads that wait spin for a moment and then sleep, where OpenMP has not been loaded before: spinning on,
# they would keep the processors from those that they wait for (docs/research/computing.md).
if "OMP_WAIT_POLICY" not in _os.environ:
    _os.environ.setdefault("GOMP_SPINCOUNT", "1000")

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
