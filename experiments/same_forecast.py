"""Do two checkouts forecast the same, bit for bit? Bits depend on the processor, so both run on this one.

    python experiments/same_forecast.py BEFORE/src AFTER/src

Each forecasts the same simulated storms with its own code and shipped weights, on one thread of the CPU. Of
two forecasts that differ, it says by how much; the exit status is then 1.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

SHAPES = ((64, 64), (96, 128))
# Run in each checkout; knows no more of it than what users do.
FORECASTS = f"""
import sys
from pathlib import Path

import numpy as np
import ssldm

source, out = map(Path, sys.argv[1:])
assert source in Path(ssldm.__file__).parents, ssldm.__file__
nowcaster = ssldm.Nowcaster.from_pretrained("small", device="cpu")
found = {{}}
for rows, columns in {SHAPES}:
    storm = ssldm.simulate(4, (rows, columns), seed=rows)
    if rows != columns:
        storm[:, :20, :30] = np.nan
        storm[1, 50:60, 70:] = np.nan
    forecast = nowcaster.nowcast(storm, members=3, steps=2, lead_time="20min", seed=1)
    found[f"storm of {{rows}}x{{columns}}"] = storm.values
    found[f"forecast of {{rows}}x{{columns}}"] = forecast["precipitation_rate"].values
np.savez(out, **found)
"""


def forecasts(source: Path) -> dict[str, NDArray[np.float32]]:
    """What the package in a folder forecasts."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    with TemporaryDirectory() as folder:
        out = Path(folder) / "forecasts.npz"
        command = [sys.executable, "-W", "ignore", "-c", FORECASTS, str(source), str(out)]
        subprocess.run(command, env=environment, check=True)
        with np.load(out) as file:
            return dict(file)


def difference(before: NDArray[np.float32], after: NDArray[np.float32]) -> str:
    """What differs; empty where every bit is the same."""
    if before.dtype != after.dtype or before.shape != after.shape:
        return f"{before.dtype} {before.shape} and {after.dtype} {after.shape}"
    if before.tobytes() == after.tobytes():
        return ""
    holes = np.count_nonzero(np.isnan(before) != np.isnan(after))
    return f"by up to {np.nanmax(np.abs(after - before)):g} mm/h, {holes} values observed in one alone"


def main() -> None:
    """Forecast with both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="folder that holds the package `ssldm`")
    parser.add_argument("after", type=Path, help="another")
    options = parser.parse_args()
    before, after = (forecasts(source.resolve()) for source in (options.before, options.after))
    differences = {name: difference(before[name], after[name]) for name in before}
    for name, found in differences.items():
        values = before[name]
        state = f"differs {found}" if found else "identical"
        print(f"{name}: {state} ({np.isnan(values).mean():.0%} NaN, at most {np.nanmax(values):.1f} mm/h)")
    sys.exit(any(differences.values()))


if __name__ == "__main__":
    main()
