"""`import ssldm`: quick, and all there."""

import subprocess
import sys

import pytest

import ssldm


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("imports", ["import ssldm, xarray", "import xarray, ssldm"])
def test_datasets_have_the_accessor_in_whatever_order_the_packages_are_imported(imports: str) -> None:
    assert run(f"{imports}; print(type(xarray.Dataset().ssldm).__name__)") == "NowcastAccessor"


def test_importing_the_package_loads_none_of_the_heavy_ones() -> None:
    assert run("import sys, ssldm; print({'numpy', 'xarray', 'torch', 'h5py'} & set(sys.modules))") == "set()"


def test_public_names_are_shown_and_there() -> None:
    assert set(ssldm.__all__) <= set(dir(ssldm))
    assert {"open_nowcast", "write_nowcast"} <= set(ssldm.__all__)
    for name in ssldm.__all__:
        assert getattr(ssldm, name).__name__ == name
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = ssldm.nonesuch
