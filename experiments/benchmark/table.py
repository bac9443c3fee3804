"""The rows of a benchmark as JSON and as a table, with the machine that they hold for."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from benchmark.measure import Options, Row, cores, free_memory

from ssldm.model.precision import has_fast_bfloat16

_PACKAGES = ("torch", "numpy", "scipy", "pysteps", "opencv-python-headless", "xarray")
# Of the processes that wait for a core, to each core, from which on times mean little.
_BUSY = 0.25


def machine(options: Options) -> dict[str, object]:
    """What the times hold for, before anything is measured."""
    busy = os.getloadavg()[0]
    found: dict[str, object] = {
        "processor": _processor(),
        "cores": cores(),
        "threads": options.threads,
        "device": options.device,
        "fast_bfloat16": has_fast_bfloat16(torch.device(options.device)),
        "free_memory_gib": None if (free := free_memory()) is None else round(free, 1),
        "load_average": round(busy, 2),
        "busy": busy > _BUSY * cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if options.device.startswith("cuda"):
        found["accelerator"] = torch.cuda.get_device_name(options.device)
    return found


def _processor() -> str:
    """Its name; of a virtual machine often the maker's alone."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the code beside this file, with a plus where it was changed; None outside of a repository."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def write(folder: Path, found: dict[str, object], options: Options, rows: Sequence[Row]) -> None:
    """``bench.json`` and ``bench.md``."""
    settings = {"rounds": options.rounds, "model": options.model, "sizes": asdict(options.sizes)}
    content = {"machine": found, "settings": settings, "rows": [asdict(row) for row in rows]}
    (folder / "bench.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    (folder / "bench.md").write_text(markdown(found, options, rows))


def markdown(found: dict[str, object], options: Options, rows: Sequence[Row]) -> str:
    """A sentence on the machine and the table."""
    packages = found["packages"]
    assert isinstance(packages, dict)
    bfloat16 = "with" if found["fast_bfloat16"] else "without"
    lines = [
        f"{found['processor']}, {found['threads']} threads on {found['cores']} cores {bfloat16} bfloat16"
        + (f", {found['accelerator']}" if "accelerator" in found else "")
        + f"; torch {packages['torch']}, pysteps {packages['pysteps']}; commit {found['commit']}, "
        f"{found['time']}. Model {options.model}; medians of {options.rounds} rounds.",
        "",
    ]
    if found["busy"]:
        lines += [
            f"**The machine was busy at the start (load {found['load_average']}): no times to quote.**",
            "",
        ]
    lines += ["| part | what | median | lowest–highest | |", "| --- | --- | ---: | --- | --- |"]
    lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    value = "–" if row.value is None else f"{_number(row.value)} {row.unit}".strip()
    spread = f"{_number(min(row.runs))}–{_number(max(row.runs))}" if row.runs else ""
    return f"| {row.part} | {row.what} | {value} | {spread} | {row.remark} |"


def _number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
