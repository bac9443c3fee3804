"""A forecast in a new process beside one in a process that is ready, and which packages the difference is."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from benchmark.domains import square_domain
from benchmark.measure import Options, Row, in_turn, seconds

import ssldm
from ssldm import Nowcaster, open_radar, write_nowcast

PART = "start-up"
_LINE = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|\s*(\S+)")
_PACKAGES = 12
_COLD = "ssldm nowcast, in a new process"
_WARM = "Nowcaster.nowcast, ready"


def imported(report: str) -> dict[str, float]:
    """Seconds that each top-level package's own modules took, from what ``python -X importtime`` prints."""
    own: dict[str, float] = defaultdict(float)
    for microseconds, _, module in _LINE.findall(report):
        own[module.split(".")[0]] += int(microseconds) / 1e6
    return dict(own)


def measure(options: Options) -> list[Row]:
    """Cold and warm, and the packages that take longest to import."""
    domain, sizes = square_domain(options), options.sizes
    # As everywhere in this benchmark; and the code beside it, not one that is installed.
    environment = os.environ | {
        "OMP_NUM_THREADS": str(options.threads),
        "PYTHONPATH": str(Path(ssldm.__file__).parents[1]),
    }

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stderr

    length = f"{5 * sizes.frames}min"
    command = (
        "ssldm", "nowcast", str(domain.path), "--out", str(options.work / "cold.nc"),
        "--model", options.model, "--device", options.device,
        "--members", str(sizes.members), "--lead-time", length,
    )  # fmt: skip
    observations = open_radar(domain.path).load()
    nowcaster = Nowcaster.from_pretrained(options.model, device=options.device)
    forecast = partial(nowcaster.nowcast, observations, members=sizes.members, lead_time=length)
    made = forecast()
    runs = in_turn(
        {
            _COLD: lambda: seconds(lambda: python("-m", *command)),
            _WARM: lambda: seconds(forecast),
            "open_radar, ready": lambda: seconds(lambda: open_radar(domain.path).load()),
            "Nowcaster.from_pretrained, ready": lambda: seconds(
                lambda: Nowcaster.from_pretrained(options.model, device=options.device)
            ),
            "write_nowcast, ready": lambda: seconds(lambda: write_nowcast(made, options.work / "warm.nc")),
            "python -c pass": lambda: seconds(lambda: python("-c", "pass")),
            "import torch, in a new process": lambda: seconds(lambda: python("-c", "import torch")),
            "ssldm --version": lambda: seconds(lambda: python("-m", "ssldm", "--version")),
        },
        options.rounds,
    )
    rows = [Row.median(PART, name, times) for name, times in runs.items()]
    ratio = float(np.median(runs[_COLD]) / np.median(runs[_WARM]))
    rows.append(Row(PART, "new process / ready", ratio, "", remark="ratio of the medians"))
    return rows + _imports(options, partial(python, "-X", "importtime", "-m", *command))


def _imports(options: Options, report: partial[str]) -> list[Row]:
    """The packages that take longest, each without what it imports of others."""
    runs = in_turn({"": lambda: imported(report())}, options.rounds)[""]
    packages = sorted(
        set().union(*runs), key=lambda name: -float(np.median([run.get(name, 0.0) for run in runs]))
    )
    rows = [Row.median(PART, "all imports", [sum(run.values()) for run in runs], remark="of the new process")]
    rows += [
        Row.median(PART, f"import of {name}", [run.get(name, 0.0) for run in runs], remark="its own modules")
        for name in packages[:_PACKAGES]
    ]
    return rows
