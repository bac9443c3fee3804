"""Archives of simulated storms, and the optional folders of real data."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from perceptual_networks import write_networks
from radar_files import smhi_bytes, write_smhi

from ssldm.radar.archive_build import build_archive
from ssldm.radar.simulation import simulate
from ssldm.verification.perceptual import Perceptual

ROOT = Path(__file__).parents[1]


def _optional_folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"no folder at {folder}; set {variable}")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """Tensors of the published implementation."""
    return _optional_folder("SSLDM_REFERENCE", ROOT.parent / "shared" / "reference")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Radar files as published by weather services."""
    return _optional_folder("SSLDM_DATA", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def storm_archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Archives of simulated storms of 64×64 pixels and 24 frames, one a seed."""

    def make(seed: int) -> Path:
        folder = tmp_path_factory.mktemp(f"storm-{seed}")
        write_smhi(
            folder, smhi_bytes(simulate(24, (64, 64), seed=seed).values), start=f"2021-05-{seed + 1:02}T02:30"
        )
        archive = folder.with_suffix(".zarr")
        build_archive([str(folder)], archive)
        return archive

    return make


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Perceptual:
    """LPIPS and FVD with small networks in place of those that others publish."""
    lpips, fvd = write_networks(tmp_path_factory.mktemp("networks"))
    return Perceptual(lpips=lpips, fvd=fvd)
