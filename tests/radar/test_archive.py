"""Archives: what is in them, what is reported, and that a build survives its end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from radar_files import write_knmi, write_meteonet, write_mrms, write_smhi

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.radar import archive_build
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import BuildOptions, build_archive, build_simulated
from ssldm.radar.archive_info import archive_info
from ssldm.radar.archive_store import Frame, missing_times
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.lock import locked
from ssldm.radar.open import open_radar
from ssldm.radar.regrid import Regridding, crop, reproject, resample, thin


@pytest.fixture
def knmi(tmp_path: Path) -> Path:
    """Four files, five minutes apart, with an unobserved corner."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for minute in (0, 5, 10, 15):
        values = rng.integers(0, 300, (6, 8))
        values[0, 0] = 65535
        write_knmi(folder, f"2010-08-26T03:{minute:02}", values)
    return folder


def test_an_archive_holds_what_was_read(knmi: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    build_archive(knmi, out, BuildOptions(start="2010-08-26T03:05"))
    (stored,) = open_archive(out)
    expected = open_radar(knmi).isel(time=slice(1, None))
    xr.testing.assert_equal(stored, expected)
    assert stored.attrs == expected.attrs | {"license": "CC-BY-4.0"}
    with pytest.raises(ObservationError, match="expected a new archive"):
        build_archive(knmi, out)
    assert not (tmp_path / "out.zarr.partial").exists()


def test_an_archive_is_a_source_again(knmi: Path, tmp_path: Path) -> None:
    build_archive(knmi, tmp_path / "a.zarr")
    xr.testing.assert_equal(open_radar(tmp_path / "a.zarr"), open_radar(knmi))
    build_archive(tmp_path / "a.zarr", tmp_path / "b.zarr")
    xr.testing.assert_equal(*open_archive(tmp_path / "a.zarr"), *open_archive(tmp_path / "b.zarr"))


def test_the_layout_is_that_of_mlcast(tmp_path: Path) -> None:
    from mlcast_dataset_validator.specs.source_data.radar_precipitation import validate_dataset

    folder = tmp_path / "in"
    folder.mkdir()
    for minute in (0, 5, 15):
        write_knmi(folder, f"2010-08-26T03:{minute:02}", np.zeros((256, 256)))
    build_archive(folder, tmp_path / "a.zarr")
    dataset = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    assert list(dataset["missing_times"].values) == [np.datetime64("2010-08-26T03:10")]
    report, _ = validate_dataset(dataset)
    failures = {result.requirement for result in report.results if result.status == "FAIL"}
    assert failures == {"Minimum 3-year coverage", "Global attribute 'mlcast_created_with'"}


def test_each_place_is_a_series_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_smhi(tmp_path / "in", np.zeros((4, 4, 2), np.uint8), place="f1")
    write_smhi(tmp_path / "in", np.full((4, 4, 2), 150, np.uint8), place="f2")
    write_smhi(tmp_path / "in", np.zeros((4, 4, 2), np.uint8), start="2021-05-11T03:00", place="f1")
    out = tmp_path / "out.zarr"
    build_archive(tmp_path / "in", out)
    first, second = archive_info(out)
    assert (first.place, first.frames, first.gaps, first.missing, first.wet_fraction) == ("f1", 4, 1, 4, 0.0)
    assert (second.place, second.frames, second.gaps, second.wet_fraction) == ("f2", 2, 0, 1.0)
    assert second.wet_by_month == {"2021-05": 1.0}
    # 150 is 30 dBZ, 2.7 mm/h: the class from 2 to 5.
    np.testing.assert_array_equal(second.histogram, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0])


def test_an_archive_of_several_places_is_a_source_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for place in ("f1", "f2"):
        write_smhi(tmp_path / "in", np.zeros((4, 4, 2), np.uint8), place=place)
    build_archive(tmp_path / "in", tmp_path / "a.zarr")
    summary = build_archive(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert [member.group for member in summary.series] == ["f1", "f2"]


def test_archives_of_others_are_limited_to_what_nature_does(tmp_path: Path) -> None:
    rate = np.array([[[5000.0, -1.0], [1800.0, 3.0]]], np.float32)
    dataset = xr.Dataset(
        {"rainfall_rate": (("time", "y", "x"), rate, {"units": "mm h-1", "standard_name": "rainfall_flux"})},
        coords={"time": [np.datetime64("2020-01-01", "ns")], "y": [1.0, 0.0], "x": [0.0, 1.0]},
    )
    dataset.to_zarr(tmp_path / "a.zarr")
    (data,) = open_archive(tmp_path / "a.zarr")
    np.testing.assert_array_equal(data.values, [[[np.nan, np.nan], [np.nan, 3.0]]])
    build_archive(tmp_path / "a.zarr", tmp_path / "b.zarr", BuildOptions(read=ReadOptions(max_rate=3000.0)))
    (data,) = open_archive(tmp_path / "b.zarr")
    np.testing.assert_array_equal(data.values, [[[np.nan, np.nan], [1800.0, 3.0]]])


def test_two_builds_of_one_archive_are_kept_apart(knmi: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "a.zarr.partial"), pytest.raises(ObservationError, match="another build"):
        build_archive(knmi, tmp_path / "a.zarr")
    build_archive(knmi, tmp_path / "a.zarr")


def test_an_archive_may_lie_among_its_sources(knmi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_build, "write_store", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_archive(knmi, knmi / "a.zarr")
    monkeypatch.undo()
    summary = build_archive(knmi, knmi / "a.zarr")
    assert (len(summary.series[0].frames), summary.refused) == (4, [])


def test_products_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_meteonet(tmp_path / "in", np.zeros((2, 3, 4)), [0, 5])
    write_meteonet(tmp_path / "in", np.zeros((3, 3, 4)), [0, 5, 10], kind="reflectivity")
    summary = build_archive(tmp_path / "in", tmp_path / "a.zarr")
    assert {s.group: len(s.frames) for s in summary.series} == {
        "MeteoNet-rainfall-NW": 2,
        "MeteoNet-reflectivity-NW": 3,
    }


def test_what_is_wrong_with_files_is_reported_and_recorded(knmi: Path, tmp_path: Path) -> None:
    (knmi / "notes.txt").write_text("nothing of interest")
    (knmi / "cut.h5").write_bytes(next(knmi.glob("*0300.h5")).read_bytes()[:1000])
    again = tmp_path / "again"
    again.mkdir()
    same = open_radar(next(knmi.glob("*0305.h5"))).values[0]
    stored = np.where(np.isnan(same), 65535, np.nan_to_num(same) * 100 / 12).round()
    write_knmi(again, "2010-08-26T03:05", stored)
    write_knmi(again, "2010-08-26T03:15", np.zeros((6, 8)))
    write_knmi(again, "2010-08-26T03:30", np.zeros((6, 8)))
    summary = build_archive([knmi, again], tmp_path / "a.zarr")
    (series,) = summary.series
    assert (len(series.frames), series.identical, series.conflicting, series.gaps) == (5, 1, 1, 1)
    assert {Path(refusal.file).name for refusal in summary.refused} == {"notes.txt", "cut.h5"}
    assert any("1 frames came twice with the same values, 1 with others" in line for line in summary.lines())
    recorded = json.loads(xr.open_zarr(tmp_path / "a.zarr", consolidated=False).attrs["refused_files"])
    assert {Path(entry["file"]).name for entry in recorded} == {"notes.txt", "cut.h5"}
    # The first of two frames that differ is kept.
    (data,) = open_archive(tmp_path / "a.zarr")
    kept = data.sel(time="2010-08-26T03:15").values
    np.testing.assert_array_equal(kept, open_radar(next(knmi.glob("*0315.h5"))).values[0])
    with pytest.raises(ObservationError, match=r"notes\.txt|cut\.h5"):
        build_archive([knmi, again], tmp_path / "b.zarr", BuildOptions(strict=True))


def test_nothing_but_refused_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "in" / name).write_text("Dear Sir or Madam")
    with pytest.raises(ObservationError, match=r"refused all 2: .*\.txt: expected one of the formats"):
        build_archive(tmp_path / "in", tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_file_system_without_links_is_no_obstacle(
    knmi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def refuse(source: Path, target: Path) -> None:
        if "frames" in Path(source).parts:  # Zarr may do as it likes
            raise OSError("no links here")
        real(source, target)

    monkeypatch.setattr(os, "link", refuse)
    build_archive(knmi, tmp_path / "a.zarr")
    xr.testing.assert_equal(*open_archive(tmp_path / "a.zarr"), open_radar(knmi))


def test_missing_times_fill_the_gaps_of_the_most_frequent_step() -> None:
    minutes = np.array([0, 5, 10, 25, 30, 35, 45])
    times = np.datetime64("2020-01-01", "ns") + minutes * np.timedelta64(1, "m")
    missing = (missing_times(times) - times[0]) // np.timedelta64(1, "m")
    assert missing.tolist() == [15, 20, 40]


def test_a_build_that_was_cut_short_goes_on(
    knmi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    real = archive_build._take

    def take(item: object, name: str, **options: object) -> object:
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(name)
        return real(item, name, **options)

    monkeypatch.setattr(archive_build, "_take", take)
    monkeypatch.setattr(archive_build, "_THREADS", 1)
    with pytest.raises(KeyboardInterrupt):
        build_archive(knmi, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
    monkeypatch.setattr(archive_build, "_take", real)
    # A line that was being written when the power went.
    with (tmp_path / "a.zarr.partial" / "journal").open("a") as journal:
        journal.write('["half a l')
    summary = build_archive(knmi, tmp_path / "a.zarr")
    assert summary.resumed in {1, 2}  # the second may be under way when the third ends it all
    xr.testing.assert_equal(*open_archive(tmp_path / "a.zarr"), open_radar(knmi))
    assert not (tmp_path / "a.zarr.partial").exists()


def test_other_options_start_afresh(knmi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_build, "write_store", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_archive(knmi, tmp_path / "a.zarr")
    monkeypatch.undo()
    assert build_archive(knmi, tmp_path / "a.zarr", BuildOptions(end="2010-08-26T03:10")).resumed == 0
    assert len(open_archive(tmp_path / "a.zarr")[0]["time"]) == 3


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_processes_give_the_same_archive(knmi: Path, tmp_path: Path) -> None:
    (knmi / "notes.txt").write_text("nothing of interest")
    alone = build_archive(knmi, tmp_path / "a.zarr")
    together = build_archive(knmi, tmp_path / "b.zarr", workers=2)
    assert [refusal.file for refusal in alone.refused] == [refusal.file for refusal in together.refused]
    xr.testing.assert_identical(*open_archive(tmp_path / "a.zarr"), *open_archive(tmp_path / "b.zarr"))


def _crash_on_notes(item: object, name: str) -> object:
    if "notes" in item.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_reader_that_crashes_takes_only_its_file_along(knmi: Path) -> None:
    (knmi / "notes.txt").write_text("nothing of interest")
    items = {item: item.name for item in archive_build.resolve(knmi)}
    results = {item.name: result for item, result in archive_build._work(_crash_on_notes, items, 2)}
    assert len(results) == 5
    assert results.pop("notes.txt").reason.endswith("its reader crashed or never ended")
    assert all(result == [] for result in results.values())


def test_frames_that_grow_are_read_fewer_at_a_time(knmi: Path) -> None:
    items = {item: str(number) for number, item in enumerate(archive_build.resolve(knmi))}

    def take(_: object, name: str) -> list[Frame]:
        time.sleep(0.05 * int(name))  # so that the others are still under way when the second comes
        return [Frame("series", int(name), "file", pixels=1 if name == "0" else 1 << 30)]

    assert len(list(archive_build._work(take, items, None))) == len(items)


def _busy_forever(*_: object) -> object:
    while True:
        pass


def test_a_reader_that_never_ends_is_stopped(
    knmi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssldm.radar import watchdog
    from ssldm.radar.formats import knmi as reader

    monkeypatch.setattr(watchdog, "_SECONDS", 0.2)
    monkeypatch.setattr(reader, "read", _busy_forever)
    with pytest.raises(ObservationError, match="never ended"):
        build_archive(next(knmi.iterdir()), tmp_path / "a.zarr", workers=1)


def _running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}


def test_a_killed_build_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for minute in range(60):
        write_knmi(folder, f"2010-08-26T03:{minute:02}", np.zeros((256, 256)))
    out = tmp_path / "a.zarr"
    process = subprocess.Popen([sys.executable, "-m", "ssldm", "archive", "build", str(folder), str(out)])
    journal = tmp_path / "a.zarr.partial" / "journal"
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") > 5):
        time.sleep(0.01)
    children = [
        int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    process.kill()
    process.wait()
    while any(_running(pid) for pid in children):
        time.sleep(0.01)  # workers end with their parent, or this test never does
    finished = out.exists()  # a quick machine may have got there first
    summary = None if finished else build_archive(folder, out)
    assert summary is None or summary.resumed > 0
    assert len(open_archive(out)[0]["time"]) == 60


def test_frames_are_thinned_by_the_clock(knmi: Path) -> None:
    kept = thin(open_radar(knmi), 10)["time"].values.astype("M8[m]").astype(str)
    assert list(kept) == ["2010-08-26T03:00", "2010-08-26T03:10"]


def test_a_crop_keeps_the_pixels_inside_the_box(tmp_path: Path) -> None:
    path = write_mrms(tmp_path, "20190610-000200", np.arange(20).reshape(4, 5))
    data = crop(open_radar(path), (-129.99, 54.97, -129.97, 54.99))
    np.testing.assert_allclose(data.values, [[[0.6, 0.7], [1.1, 1.2]]], rtol=1e-6)
    with pytest.raises(ObservationError, match="expected pixels inside"):
        crop(data, (0.0, 0.0, 1.0, 1.0))


def test_a_multiple_of_the_pixel_is_a_block_mean(knmi: Path) -> None:
    data = open_radar(knmi)
    coarse = resample(data, 2000.0)
    expected = data.values.reshape(4, 3, 2, 4, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(coarse.values, expected, rtol=1e-6)
    np.testing.assert_allclose(coarse["x"], [1000.0, 3000.0, 5000.0, 7000.0])
    assert coarse["crs"].attrs == data["crs"].attrs
    with pytest.raises(ConfigurationError, match="expected a resolution of at least 1000 m"):
        resample(data, 100.0)


def test_reprojection_keeps_the_rain_in_its_place(tmp_path: Path) -> None:
    values = np.zeros((60, 60))
    values[20:30, 35:45] = 100
    values[:, :5] = 65535
    data = open_radar(write_knmi(tmp_path, "2010-08-26T03:00", values))
    moved = reproject(data, "EPSG:3035", 1000.0)
    from ssldm.radar.grid import latitude_longitude

    def centre(part: xr.DataArray) -> list[float]:
        weight = np.nan_to_num(part.values[0])
        return [
            float((place.values * weight).sum() / weight.sum()) for place in latitude_longitude(part).values()
        ]

    np.testing.assert_allclose(centre(moved), centre(data), atol=2e-3)
    # Areas of this projection are true; those of the stereographic one are 7% too large or so at 52 N.
    assert float(np.nansum(moved.values)) == pytest.approx(float(np.nansum(data.values)), rel=0.15)
    assert np.isnan(moved.values).any()
    with pytest.raises(ConfigurationError, match="expected a projection in metres"):
        reproject(data, "EPSG:4326", 1000.0)


def test_regridding_is_part_of_a_build(knmi: Path, tmp_path: Path) -> None:
    build_archive(
        knmi, tmp_path / "a.zarr", BuildOptions(regrid=Regridding(step_minutes=10, resolution=2000.0))
    )
    (data,) = open_archive(tmp_path / "a.zarr")
    assert data.shape == (2, 3, 4)


def test_long_simulated_storms_are_events_too(tmp_path: Path) -> None:
    from ssldm.radar.splits import events

    build_simulated(tmp_path / "a.zarr", events=3, frames=30, shape=(8, 8), step_minutes=60.0)
    series = open_archive(tmp_path / "a.zarr")
    assert series[0].sizes["time"] == 90
    assert len(events(series)) == 3


def test_reprojected_grids_share_their_pixels_and_end_where_the_data_do(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, "2010-08-26T03:00", np.full((10, 10), 100))
    coarse = reproject(open_radar(path), None, 3000.0)
    assert np.isfinite(coarse.values).sum() < coarse.size
    np.testing.assert_allclose(coarse.values[np.isfinite(coarse.values)], 12.0, rtol=1e-5)
    other = reproject(open_radar(path).isel(x=slice(1, None)), None, 3000.0)
    assert set(np.round(other["x"].values)) <= set(np.round(coarse["x"].values))


def test_simulated_archives_are_events_a_day_apart(tmp_path: Path) -> None:
    build_simulated(tmp_path / "a.zarr", events=3, frames=4, shape=(32, 48), seed=7)
    (data,) = open_archive(tmp_path / "a.zarr")
    assert data.shape == (12, 32, 48)
    assert len(np.unique(data["time"].values.astype("M8[D]"))) == 3
    assert not np.array_equal(data[0].values, data[4].values)
