"""The key of kept forecasts and scores: it holds all code that makes them, and changes when that does."""

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from ssldm.report.code_identity import code_hash, code_identity, followed
from ssldm.report.contestants import EnsembleSettings, baseline, trained

PACKAGE = Path(str(files("ssldm")))
PLUGIN = "ssldm.pysteps_plugin"
UNET = str(Path(__file__).parents[2] / "experiments/unet")

# Makes a result while it writes down whose code runs, whose is loaded, and which modules the key is made of.
TRACED = """
import json, sys, threading
from pathlib import Path
import numpy as np
import xarray as xr
import ssldm
from ssldm.radar.simulation import simulate
import ssldm.report.code_identity as identity

root, keys, ran = Path(ssldm.__file__).parent, [], set()
given = identity.code_identity
def recorded(caller, *starts):
    keys.append([caller, *identity.followed(starts, root)])
    return given(caller, *starts)
identity.code_identity = recorded
storm = simulate(8, (64, 64), seed=0)
def note(frame, event, argument):
    ran.add(frame.f_code.co_filename)
def trace():
    threading.setprofile(note)
    sys.setprofile(note)
{body}
sys.setprofile(None)
names = []
for path in ran:
    if Path(path).is_relative_to(root):
        parts = Path(path).relative_to(root).with_suffix("").parts
        names.append(".".join(["ssldm", *(part for part in parts if part != "__init__")]))
print(json.dumps([names, [name for name in sys.modules if name.split(".")[0] == "ssldm"], keys]))
"""

CONTESTANT = """
from ssldm.report.contestants import EnsembleSettings, baseline, trained
contestant = {make}
contestant.identity()
trace()
contestant.load()(storm[:4], 4)
"""

FILES = """
from ssldm.forecast.dataset import nowcast_dataset, write_nowcast
from ssldm.report.forecast_files import FileContestant
rate = np.zeros((2, 4, 64, 64), np.float32)
place = Path({folder!r}) / "forecast.nc"
step = np.timedelta64(5, "m")
write_nowcast(nowcast_dataset(rate, storm[:4], step, source="", seed=0, settings=""), place)
contestant = FileContestant("theirs", (str(place),))
contestant.identity()
trace()
contestant.load()(storm[:4], 4)
"""

SCORES = """
from ssldm.report.hindcasts import Plan, Worker
from ssldm.verification.comparison import compare
from ssldm.verification.member_groups import groups_of
from ssldm.verification.statistics import Protocol
Worker(Plan((), (), 4, 4, Protocol(), Path()))._scoring
forecast = xr.Dataset(coords={{"member": [0, 1]}})
trace()
groups = groups_of(forecast)
compare({{"it": np.ones((2, 4, 64, 64), np.float32)}}, storm[4:], Protocol(), groups={{"it": groups}})
"""

LOADED = {
    "ssldm.forecast.nowcaster": """
from ssldm.forecast.nowcaster import Nowcaster
Nowcaster.from_pretrained("small", device="cpu").nowcast(storm[:4], members=1, steps=1)
""",
    "ssldm.forecast.unet_forecaster": """
from pathlib import Path
from ssldm.forecast.unet_forecaster import UNetForecaster
UNetForecaster.from_pretrained(Path({unet!r})).forecast(storm[:4])
""",
    "ssldm.verification.baselines": """
from ssldm.verification.baselines import BASELINES, Setting
BASELINES["steps"](Setting.of(storm[:4], lead_frames=2, members=2, seed=0))
""",
}


def traced(body: str) -> tuple[set[str], set[str], list[list[str]]]:
    """Modules whose code ran, modules that were loaded, and the modules of each key."""
    body = body.replace("{unet!r}", repr(UNET))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    script = TRACED.replace("{body}", body.replace("{{", "{").replace("}}", "}"))
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    ran, loaded, keys = json.loads(done.stdout.splitlines()[-1])
    # pysteps loads its plug-ins, ours too, whether they are used or not.
    return set(ran) - {PLUGIN}, set(loaded) - {PLUGIN}, keys


@pytest.mark.parametrize("start", LOADED)
def test_every_module_that_is_loaded_while_a_forecast_is_made_is_in_the_key(start: str) -> None:
    _, loaded, _ = traced(LOADED[start])
    # The script itself needs these: for the storm, and to trace.
    needed = {*followed(["ssldm.radar.simulation", "ssldm.report.code_identity"], PACKAGE)}
    assert start in loaded
    assert loaded - needed <= set(followed([start], PACKAGE))


@pytest.mark.parametrize(
    "make",
    [
        "trained('small', EnsembleSettings(members=2, steps=1, device='cpu'))",
        f"trained('{UNET}', EnsembleSettings())",
        "baseline('steps', EnsembleSettings(members=2))",
    ],
)
def test_all_code_that_runs_while_a_contestant_forecasts_is_in_its_key(make: str) -> None:
    ran, _, (key,) = traced(CONTESTANT.replace("{make}", make))
    assert "ssldm.report.contestants" in ran
    assert ran <= set(key)


def test_all_code_that_runs_while_files_are_read_or_scores_are_made_is_in_the_key(tmp_path: Path) -> None:
    for body, needed in (
        (FILES.replace("{folder!r}", repr(str(tmp_path))), "ssldm.report.forecast_files"),
        (SCORES, "ssldm.verification.crps"),
    ):
        ran, _, (key,) = traced(body)
        assert needed in ran
        assert ran <= set(key)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of this package's code."""
    kept = shutil.ignore_patterns("weights", "__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "ssldm", ignore=kept))


def test_a_byte_in_any_module_that_makes_a_forecast_changes_the_key_and_in_no_other(package: Path) -> None:
    def key() -> str:
        return code_hash(followed(["ssldm.forecast.nowcaster"], package))

    before, modules = key(), followed(["ssldm.forecast.nowcaster"], package)
    assert {"ssldm.forecast.speckle", "ssldm.radar.units", "ssldm.diffusion.sampling"} <= set(modules)
    for path in modules.values():
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        assert key() != before, path
        path.write_bytes(text)
    others = set(package.rglob("*.py")) - set(modules.values())
    assert {package / "cli" / "main.py", package / "verification" / "crps.py"} <= others
    for path in others:
        path.write_bytes(path.read_bytes() + b"#")
    assert key() == before


@pytest.mark.parametrize(
    "line",
    [
        "import ssldm.radar.far",
        "from ssldm.radar import far",
        "from ssldm.radar.far import anything",
        "from ssldm.radar.far import *",
        "from ..radar import far",
        "from ..radar.far import anything as other",
        "def f():\n    from ssldm.radar import far",
        "class C:\n    def f(self):\n        import ssldm.radar.far as far",
        "try:\n    import ssldm.radar.far\nexcept ImportError:\n    pass",
        "far = import_module('ssldm.radar.far')",
        "HOME = {'far': 'ssldm.radar.far'}",
        "far = import_module(f'ssldm.radar.{name}')",
        "from ssldm import late",
        "from ssldm.near import through",
    ],
)
def test_an_import_is_followed_however_it_is_written(line: str, tmp_path: Path) -> None:
    files_of = {
        "__init__": "def __getattr__(name):\n    return import_module('ssldm.radar.far')",
        "near": "from ssldm.radar.far import through",
        "work/__init__": "",
        "work/start": line,
        "radar/__init__": "",
        "radar/far": "",
        "other": "import ssldm.work.start",
    }
    for name, text in files_of.items():
        path = tmp_path / "ssldm" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = followed(["ssldm.work.start"], tmp_path / "ssldm")
    assert {"ssldm", "ssldm.work", "ssldm.work.start", "ssldm.radar", "ssldm.radar.far"} <= set(found)
    assert "ssldm.other" not in found


def test_what_is_offered_for_later_or_for_types_is_not_in_the_key(tmp_path: Path) -> None:
    package = tmp_path / "ssldm"
    package.mkdir()
    (package / "__init__.py").write_text("def __getattr__(name):\n    import ssldm.later")
    (package / "start.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import ssldm.later\nelse:\n    import ssldm.now"
    )
    for name in ("later", "now"):
        (package / f"{name}.py").touch()
    assert set(followed(["ssldm.start"], package)) == {"ssldm", "ssldm.start", "ssldm.now"}


def test_a_module_that_is_not_there_has_no_key() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"ssldm\.forecast\.speckles"):
        code_identity(__name__, "ssldm.forecast.speckles")


def test_contestants_of_other_code_have_other_keys() -> None:
    settings = EnsembleSettings()
    found = [trained("small", settings), trained(UNET, settings), baseline("steps", settings)]
    assert len({contestant.identity()["code"] for contestant in found}) == 3
