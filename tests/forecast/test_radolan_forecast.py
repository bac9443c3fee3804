"""Forecasts of the German weather service are nowcasts as soon as they are opened."""

import shutil
import tarfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pyproj import CRS, Transformer
from radar_files import write_radolan

from ssldm.cli import main
from ssldm.errors import ObservationError
from ssldm.forecast.dataset import open_nowcast, write_nowcast
from ssldm.radar.open import open_radar

START = datetime(2024, 7, 12, 12, 0)  # noqa: DTZ001  # UTC
SIDE = 450
NO_DATA, CLUTTER = 0x29C4, 0x8000
RAIN = (SIDE - 1, 7)  # row from the south, column


def header(lead: int, shape: tuple[int, int], *, product: str = "RV", start: datetime = START) -> bytes:
    """As DWD writes it, but for the radars at its end."""
    size = 2 * shape[0] * shape[1]
    grid = f"GP{shape[0]:4d}x{shape[1]:4d}"
    fields = f"VS 5SW  P42001HPR E-02INT   5{grid}VV {lead:03d}MF 00000008MS 13<deboo,dedrs>"
    begin = f"{product}{start:%d%H%M}10000{start:%m%y}BY"
    return f"{begin}{len(begin) + 10 + len(fields) + 1 + size:10d}{fields}".encode() + b"\x03"


def write(folder: Path, lead: int, shape: tuple[int, int] = (SIDE, SIDE), **options: object) -> Path:
    """A composite with 0.01 mm for each minute ahead in a pixel at the northern edge, and two flags."""
    codes = np.zeros(shape, "<u2")
    codes[RAIN] = lead
    codes[0, :2] = NO_DATA, CLUTTER | 99
    start = options.get("start", START)
    path = folder / f"DE1200_RV{start:%y%m%d%H%M}_{lead:03d}"
    path.write_bytes(header(lead, shape, **options) + codes.tobytes())  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the composites of one reference time."""
    folder = tmp_path_factory.mktemp("rv")
    for lead in range(0, 121, 5):
        write(folder, lead)
    return folder


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(written, tmp_path / "rv"))


def test_a_forecast_of_the_german_weather_service_is_a_nowcast(written: Path) -> None:
    forecast = open_nowcast(written)
    rate = forecast["precipitation_rate"]
    assert rate.dims == ("member", "lead_time", "y", "x")
    assert rate.shape == (1, 24, SIDE, SIDE)
    assert rate.dtype == np.float32
    assert rate.attrs["units"] == "mm h-1"
    minutes = np.arange(5, 121, 5)
    np.testing.assert_array_equal(forecast["lead_time"] / np.timedelta64(1, "m"), minutes)
    # Hundredths of a millimetre in five minutes, the northern row first.
    np.testing.assert_allclose(rate[0, :, 0, RAIN[1]], minutes * 0.01 * 12, rtol=1e-6)
    np.testing.assert_array_equal(rate[0, :, -1, :3], np.tile([np.nan, np.nan, 0.0], (24, 1)))
    assert int(rate.isnull().sum()) == 2 * 24
    assert str(forecast["forecast_reference_time"].values)[:16] == "2024-07-12T12:00"
    assert str(forecast["valid_time"].values[-1])[:16] == "2024-07-12T14:00"
    bounds = forecast["lead_time_bounds"].values / np.timedelta64(1, "m")
    np.testing.assert_array_equal(bounds[0], [0, 5])
    assert forecast.attrs["source"] == "DWD RADOLAN RV"
    assert "seed" not in forecast.attrs


def test_it_lies_where_observations_of_the_same_grid_lie(tmp_path: Path) -> None:
    """The corner of DE1200 is that which DWD publishes, half a pixel outside of the first centre."""
    shape = (1200, 1100)
    for lead in range(0, 121, 5):
        write(tmp_path, lead, shape)
    forecast = open_nowcast(tmp_path)
    (tmp_path / "seen").mkdir()
    seen = open_radar(write_radolan(tmp_path / "seen", "RY", "202407121200", np.zeros(shape, int), version=5))
    for axis in ("y", "x"):
        np.testing.assert_array_equal(forecast[axis], seen[axis])
    assert forecast["crs"].attrs == seen["crs"].attrs
    crs = CRS.from_wkt(forecast["crs"].attrs["crs_wkt"])
    to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    place = to_degrees.transform(float(forecast["x"][0]) - 500.0, float(forecast["y"][-1]) - 500.0)
    np.testing.assert_allclose(place, (3.566994635, 45.69642538), atol=1e-4)


@pytest.mark.parametrize("kind", ["bz2", "gz", ""])
def test_an_archive_a_pattern_and_a_list_hold_what_the_folder_holds(
    kind: str, written: Path, tmp_path: Path
) -> None:
    archive = tmp_path / f"DE1200_RV2407121200.tar{kind and '.'}{kind}"
    with tarfile.open(archive, f"w:{kind}") as file:  # type: ignore[call-overload]
        for path in sorted(written.iterdir()):
            file.add(path, path.name)
    whole = open_nowcast(written)
    pattern, files = str(written / "DE1200_RV*"), sorted(written.iterdir())[::-1]
    for source in (archive, str(archive), str(tmp_path / "DE1200_RV*.tar*"), [archive], pattern, files):
        assert open_nowcast(source).identical(whole)


def test_the_analysis_may_be_missing(copied: Path) -> None:
    (copied / "DE1200_RV2407121200_000").unlink()
    assert open_nowcast(copied).sizes["lead_time"] == 24


def replaced(lead: int, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / f"DE1200_RV2407121200_{lead:03d}"
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new))

    return change


def cut(folder: Path) -> None:
    path = folder / "DE1200_RV2407121200_060"
    path.write_bytes(path.read_bytes()[:-100])


def other_product(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"RV1212", b"RQ1212", 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: (folder / "DE1200_RV2407121200_045").unlink(),
            "rv: expected .*found none for 45 min",
        ),
        (
            lambda folder: write(folder, 120, start=START + timedelta(minutes=5)),
            "one reference time, found .*12:05",
        ),
        (
            lambda folder: shutil.copy(folder / "DE1200_RV2407121200_045", folder / "again"),
            "rv: expected one composite for each lead time, found two of 45 min",
        ),
        (lambda folder: write(folder, 60, (460, 460)), "_060: expected composites of one grid"),
        (other_product, "_000: expected a forecast .*found RADOLAN RQ"),
        (replaced(5, b"VV 005", b"VV 007"), "_005: expected .*VV .*found 5, 7 and"),
        (replaced(5, b"INT   5", b"INT  60"), "_005: expected INT 5.*found 60, 5 and"),
        (replaced(5, b"PR E-02", b""), "_005: expected .*PR .*None"),
        (cut, "_060: damaged or cut short"),
        (lambda folder: (folder / "DE1200_RV2407121200_060").write_bytes(b""), "_060: empty"),
        (lambda folder: (folder / "notes.txt").write_text("rain"), "notes.txt: expected a RADOLAN composite"),
    ],
    ids=[
        "gap",
        "times",
        "twice",
        "grid",
        "product",
        "lead",
        "interval",
        "precision",
        "cut",
        "empty",
        "other",
    ],
)
def test_what_is_no_whole_forecast_is_refused_in_a_line(
    change: Callable[[Path], object], said: str, copied: Path
) -> None:
    change(copied)
    with pytest.raises(ObservationError, match=said) as refusal:
        open_nowcast(copied)
    assert "\n" not in str(refusal.value)


def test_a_damaged_archive_and_one_of_other_files_are_refused_by_name(written: Path, tmp_path: Path) -> None:
    archive = tmp_path / "DE1200_RV2407121200.tar.bz2"
    with tarfile.open(archive, "w:bz2") as file:
        file.add(written, "rv")
    whole = archive.read_bytes()
    assert open_nowcast(archive).sizes["lead_time"] == 24
    for content in (whole[: len(whole) // 2], b"rain", b""):
        archive.write_bytes(content)
        with pytest.raises(ObservationError, match=r"DE1200_RV2407121200\.tar\.bz2: ") as refusal:
            open_nowcast(archive)
        assert "/tmp/ssldm-" not in str(refusal.value)  # noqa: S108
        assert "\n" not in str(refusal.value)
    damaged = (written / "DE1200_RV2407121200_060").read_bytes()[:-100]
    (tmp_path / "damaged").write_bytes(damaged)
    with tarfile.open(archive, "w:bz2") as file:
        file.add(tmp_path / "damaged", "damaged")
    with pytest.raises(ObservationError, match=r"tar\.bz2: damaged: damaged or cut short") as refusal:
        open_nowcast(archive)
    assert "/tmp/ssldm-" not in str(refusal.value)  # noqa: S108
    with tarfile.open(archive, "w:bz2") as file:
        file.add(Path(__file__), "a.py")
    with pytest.raises(
        ObservationError, match=r"2407121200\.tar\.bz2: .*a\.py: expected a RADOLAN composite"
    ):
        open_nowcast(archive)


@pytest.mark.parametrize("source", [[], [None], ["nothing"], "nothing*"])
def test_what_names_no_file_is_refused(
    source: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ObservationError, match="expected"):
        open_nowcast(source)  # type: ignore[arg-type]


def test_products_pictures_and_files_can_be_made_of_it(written: Path, tmp_path: Path) -> None:
    forecast = open_nowcast(written)
    amount = forecast.ssldm.accumulation("60min").isel(member=0)
    # Of five minutes each: the sums themselves.
    np.testing.assert_allclose(amount[-1, 0, RAIN[1]], 0.01 * np.arange(65, 121, 5).sum(), rtol=1e-5)
    write_nowcast(forecast, tmp_path / "n.nc")
    stored = open_nowcast(tmp_path / "n.nc")
    np.testing.assert_array_equal(stored["precipitation_rate"], forecast["precipitation_rate"])
    out = tmp_path / "map.png"
    with pytest.raises(SystemExit) as end:
        main(["plot", str(written), "--out", str(out), "--product", "mean", "--lead-time", "60min"])
    assert not end.value.code
    assert out.stat().st_size > 10_000
