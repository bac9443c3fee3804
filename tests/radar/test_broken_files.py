"""A hundred broken files: each ends in one line and status 2, quickly and in little memory."""

import hashlib
import resource
import time
from pathlib import Path

import pytest
from mutator import impostors, mutants, whole_files

from ssldm.cli import main
from ssldm.radar.archive_build import build_archive
from ssldm.radar.open import open_radar

_COUNT = 100
_SECONDS = 10.0
_MORE_KIBIBYTES = 3 << 19


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail as a command should; what it says."""
    begin = time.monotonic()
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    assert exit_.value.code == 2
    assert time.monotonic() - begin < _SECONDS
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("ssldm: ")
    assert said.err.count("\n") == 1
    return said.err


def test_the_mutator_begins_with_files_that_can_be_read(tmp_path: Path) -> None:
    for path in whole_files(tmp_path):
        assert open_radar(path).sizes["time"] >= 1


def test_a_hundred_broken_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = whole_files(tmp_path / "whole")
    existing, new = tmp_path / "existing.zarr", tmp_path / "new.zarr"
    build_archive(whole[1], existing)
    before = digest(existing)
    false = impostors(tmp_path / "impostors")
    broken = [*false, *mutants(whole, tmp_path / "mutants", _COUNT - len(false))]
    assert len(broken) == _COUNT
    capfd.readouterr()
    # A forked process begins with all that its parent has, and other tests have had children, too.
    held = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    for path in broken:
        assert path.name in run(capfd, "archive", "build", path, new)
        assert "existing.zarr" in run(capfd, "archive", "build", path, existing)
        assert not new.exists()
        assert not new.with_name("new.zarr.partial").exists()
    for path in false:
        run(capfd, "nowcast", path, "--out", tmp_path / "n.nc")
    assert digest(existing) == before
    assert not (tmp_path / "n.nc").exists()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < held + _MORE_KIBIBYTES
