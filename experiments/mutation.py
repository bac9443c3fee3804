"""Do the tests notice small mistakes? Changes lines of the code, and runs the tests that reach them.

    pip install coverage pytest-cov
    COVERAGE_FILE=runs/mutation/coverage pytest --cov=src/ssldm --cov-context=test --cov-report= \
        --junitxml=runs/mutation/times.xml
    python experiments/mutation.py --coverage runs/mutation/coverage --times runs/mutation/times.xml

What tests reach is found once, by the two commands before; `--cov-append` adds tests written since, whose
times are a further `--times`. Each mutant lives in a process forked from one that has imported the libraries,
in a copy of the sources; its tests run quickest first, up to the first that fails. On Linux only.
"""

import argparse
import csv
import gc
import importlib
import os
import shutil
import signal
import sys
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from mutants import Mutant, draw  # noqa: E402

ROOT = HERE.parent
SOURCES = (
    "forecast/*", "diffusion/*", "postprocess/*", "verification/*", "radar/formats/*",
    *(f"model/{name}.py" for name in (
        "prior", "prior_network", "storm_noise", "storm_model", "displacement", "gaussian_blur", "carried",
        "scaling", "block_autoencoder",
    )),
    *(f"radar/{name}.py" for name in (
        "units", "unpacking", "rates", "times", "grid", "axes", "newest", "joining", "observations", "motion",
    )),
)  # fmt: skip
LIBRARIES = (
    "torch", "diffusers", "lightning", "xarray", "pandas", "scipy.ndimage", "scipy.stats", "scores",
    "pysteps.motion", "pysteps.nowcasts", "wradlib", "cv2", "rasterio", "pyproj", "h5py", "zarr",
    "dask.array", "matplotlib.pyplot", "skimage", "hypothesis", "typer", "pydantic", "jinja2", "h5netcdf",
    "PIL.Image", "cf_units",
)  # fmt: skip


class Reach:
    """Which tests reach a line, and how long they take."""

    def __init__(self, coverage: Path, times: Sequence[Path]) -> None:
        from coverage import CoverageData

        self.data = CoverageData(str(coverage))
        self.data.read()
        self.seconds: dict[str, float] = {}
        for case in (case for path in times for case in ET.parse(path).iter("testcase")):  # noqa: S314
            if case.find("failure") is None and case.find("error") is None and case.find("skipped") is None:
                test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
                self.seconds[test] = float(case.get("time", 1.0))

    def tests(self, mutant: Mutant, budget: float) -> list[str]:
        """Those that notice a mutant if any does, the quickest first, of so many seconds together."""
        (path,) = (path for path in self.data.measured_files() if path.endswith(f"/src/ssldm/{mutant.file}"))
        lines = self.data.contexts_by_lineno(path)
        wanted = lines if mutant.imported else range(mutant.line, mutant.last + 1)
        contexts = {context for line in wanted for context in lines.get(line, ())}
        # A fixture is set up in the first test that takes it; all of the file may depend on it.
        files = {context.split("::")[0] for context in contexts if context.endswith("|setup")}
        tests = {context.split("|")[0] for context in contexts}
        by_file = defaultdict(list)
        for test, seconds in self.seconds.items():
            if test in tests or test.split("::")[0] in files:
                by_file[test.split("::")[0]].append((seconds, test))
        groups = sorted(by_file.values(), key=lambda group: sum(seconds for seconds, _ in group) / len(group))
        chosen = []
        for seconds, test in (each for group in groups for each in sorted(group)):
            budget -= seconds
            if budget < 0.0:
                break
            chosen.append(test)
        return chosen


class FirstFailure:
    """A plugin of pytest that writes down the first test that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """See pytest."""
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """See pytest."""
        if report.failed and not self.path.exists():
            self.path.write_text(report.nodeid)


def outcome(sources: Path, tests: list[str], limit: float) -> tuple[str, str]:
    """Whether tests notice what is in the sources, and the first that does."""
    if not tests:
        return "survived", "no test reaches it"
    failure = sources / "failure"
    failure.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        os.setsid()
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        sys.path.insert(0, str(sources))
        os.environ["PYTHONPATH"] = str(sources)
        os._exit(pytest.main(["-xq", "-pno:cacheprovider", *tests], plugins=[FirstFailure(failure)]))
    end, found = time.monotonic() + limit, 0
    while not found and time.monotonic() < end:
        time.sleep(0.02)
        found, status = os.waitpid(child, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not found:
        os.waitpid(child, 0)
        return "hung", ""
    if status and not failure.exists():
        return "unclear", "pytest did not run: tests that are gone, or a conftest that cannot be imported"
    return ("killed", failure.read_text()) if status else ("survived", "")


def changed(
    sources: Path, mutant: Mutant, number: int, run: Callable[[], tuple[str, str]]
) -> tuple[str, str]:
    """The outcome with a file of the copy changed."""
    path = sources / "ssldm" / mutant.file
    original = path.readlink()
    path.unlink()
    path.write_text(mutant.source)
    os.utime(path, (number, number))  # no other mutant's, by which Python tells whether bytecode is stale
    found = run()
    path.unlink()
    path.symlink_to(original)
    return found


def main() -> None:
    """Try each mutant, and write down what became of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coverage", type=Path, required=True, help="which test reaches which line")
    parser.add_argument("--times", type=Path, action="append", required=True, help="how long each test takes")
    parser.add_argument("--mutants", type=int, default=200, help="default: 200")
    parser.add_argument("--seed", type=int, default=1, help="which are drawn (default: 1)")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests a mutant (default: 30)")
    parser.add_argument("--again", type=Path, help="results of the same draw: only those that survived")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/mutation/results.csv")
    given = parser.parse_args()
    package = ROOT / "src" / "ssldm"
    names = [str(path.relative_to(package)) for path in sorted(package.rglob("*.py"))]
    files = [name for name in names if any(fnmatch(name, pattern) for pattern in SOURCES)]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    mutants = dict(enumerate(draw(package, files, given.mutants, given.seed), start=1))
    if given.again:
        with given.again.open() as file:
            left = {int(row["number"]) for row in csv.DictReader(file) if row["outcome"] == "survived"}
        mutants = {number: mutants[number] for number in sorted(left)}
    reach = Reach(given.coverage, given.times)
    for library in LIBRARIES:
        importlib.import_module(library)
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.freeze()  # pytest collects garbage twice
    with TemporaryDirectory() as folder, given.out.open("w") as file:
        sources = Path(folder)
        shutil.copytree(package, sources / "ssldm", copy_function=os.symlink)
        rows = csv.writer(file)
        rows.writerow(("number", "file", "line", "code", "change", "outcome", "test", "seconds"))
        killers = set()
        for number, mutant in mutants.items():
            start = time.monotonic()
            tests = reach.tests(mutant, given.budget)
            found, test = changed(
                sources, mutant, number, lambda t=tests: outcome(sources, t, 4 * given.budget)
            )
            killers |= {test} if found == "killed" and "::" in test else set()
            seconds = round(time.monotonic() - start, 1)
            rows.writerow(
                (number, mutant.file, mutant.line, mutant.code, mutant.change, found, test, seconds)
            )
            file.flush()
            print(
                f"{number} {mutant.file}:{mutant.line} {mutant.change}: {found} {test} {seconds} s",
                flush=True,
            )
        print("those tests without a change:", *outcome(sources, sorted(killers), 3600.0))


if __name__ == "__main__":
    main()
