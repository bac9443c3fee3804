"""The benchmark runs from its command, at the smallest size, and what it says of growth is right."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ssldm import Nowcaster
from ssldm.model.storm_model import StormConfig

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from benchmark import measure

    return measure


def test_the_table_has_every_stage_of_a_forecast(tmp_path: Path) -> None:
    config = StormConfig(
        name="fresh",
        scaling={"kind": "power", "exponent": 1 / 3, "dry_below": 0.05},
        autoencoder={"kind": "block", "latent_channels": 4, "width": 8, "fit_steps": 2},
        prior={"width": 8},
        postprocess=({"power": 0.5},),
    )
    Nowcaster(config.build(), "fresh").save_pretrained(tmp_path / "model")
    options = [
        *("--tiny", "--threads", "1", "--rounds", "2", "--only", "stages"),
        *("--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")),
    ]
    done = subprocess.run(
        [sys.executable, EXPERIMENTS / "bench.py", *options], capture_output=True, text=True, check=False
    )

    assert not done.returncode, done.stderr
    content = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert set(content) == {"machine", "settings", "rows"}
    assert {"processor", "cores", "threads", "packages", "load_average"} <= set(content["machine"])
    rows = {row["what"]: row for row in content["rows"]}
    for row in rows.values():
        assert set(row) == {"part", "what", "value", "unit", "runs", "remark"}
        assert len(row["runs"]) == 2
        assert row["value"] == pytest.approx(np.median(row["runs"]))
        assert row["value"] > 0.0, row["what"]
    # Of each run: the conditions, the members and the dataset are all of a forecast.
    summed = ("conditions: all before the members", "2 members: all after the conditions", "dataset")
    whole = np.array(rows["whole forecast"]["runs"])
    np.testing.assert_allclose(sum(np.array(rows[name]["runs"]) for name in summed), whole)
    stages = [name for name in rows if name not in (*summed[:2], "whole forecast", "NetCDF file")]
    assert (sum(np.array(rows[name]["runs"]) for name in stages) <= whole).all()
    table = (tmp_path / "out" / "bench.md").read_text()
    assert all(f"| {name} |" in table for name in rows)


def test_exponents_of_power_laws(measure) -> None:
    sizes = [1.0, 4.0, 9.0, 25.0]
    assert measure.exponent(sizes, [3.0 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert measure.exponent(sizes, [7.0] * 4) == pytest.approx(0.0, abs=1e-12)


def test_contestants_run_in_turn(measure) -> None:
    ran: list[str] = []
    results = measure.in_turn({name: lambda name=name: ran.append(name) for name in "ABC"}, rounds=2)
    assert "".join(ran) == "ABC" * 3  # the first round is not counted
    assert {name: len(runs) for name, runs in results.items()} == dict.fromkeys("ABC", 2)


def test_a_stage_does_not_count_what_another_does_inside_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from benchmark import stages

    clock = iter([0.0, 1.0, 5.0, 7.0])  # the outer begins, the inner begins and ends, the outer ends
    monkeypatch.setattr(stages.time, "perf_counter", lambda: next(clock))
    watch = stages.Stopwatch("cpu")
    inner = watch.timed(stages.CARRY, lambda: None)
    watch.timed(stages.EXPECTED, inner)()
    assert watch.total[stages.CARRY] == 4.0
    assert watch.total[stages.EXPECTED] == 3.0


def test_imports_count_for_the_package_that_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from benchmark.startup import imported

    report = """
import time: self [us] | cumulative | imported package
import time:       100 |        100 |     one.part
import time:       200 |        300 |   one
import time:       400 |        700 | other
"""
    assert imported(report) == pytest.approx({"one": 3e-4, "other": 4e-4})
