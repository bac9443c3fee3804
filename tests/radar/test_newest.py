"""The newest frames of a source: what is read of it, and what is passed over."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from radar_files import write_fmi_pgm, write_knmi, write_smhi

from ssldm.errors import InputRepaired, NoDataError, ObservationError
from ssldm.radar import newest
from ssldm.radar.archive_build import build_archive
from ssldm.radar.isolation import newest_isolated
from ssldm.radar.newest import Wanted, read_newest, stamps_of
from ssldm.radar.open import open_radar
from ssldm.radar.simulation import simulate
from ssldm.radar.sources import Item


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve frames, hundredths of a millimetre 0 to 11."""
    for i in range(12):
        write_knmi(tmp_path, f"2010-08-26T03:{5 * i:02}", np.full((8, 8), i))
    return tmp_path


def numbers(data: object) -> list[int]:
    return [round(float(v) * 100 / 12) for v in data.values[:, 0, 0]]  # type: ignore[attr-defined]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []
    read_item = newest.read_item

    def noting(item: Item, *rest: object) -> object:
        names.append(item.name)
        return read_item(item, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(newest, "read_item", noting)
    return names


def test_no_more_files_are_read_than_hold_what_is_wanted(folder: Path, opened: list[str]) -> None:
    data = read_newest(folder, Wanted(4))
    assert numbers(data) == [8, 9, 10, 11]
    assert len(opened) == 4
    assert list(data["source_file"].values) == sorted(opened)
    opened.clear()
    # The first file tells how stamps and times differ, here not at all.
    until = np.datetime64("2010-08-26T03:27")
    assert numbers(read_newest(folder, Wanted(3, until))) == [3, 4, 5]
    # Those of an hour more, as files may be late.
    assert len(opened) == 12 - 3


def test_a_single_file_that_is_late_hides_no_others(folder: Path) -> None:
    late = write_knmi(folder, "2010-08-26T06:00", np.full((8, 8), 99))
    late.rename(folder / "RAD_NL25_RAP_5min_201008260350.h5")
    until = np.datetime64("2010-08-26T03:30")
    assert numbers(read_newest(folder, Wanted(2, until))) == [5, 6]


def test_files_without_times_in_their_names_are_all_looked_into(folder: Path, opened: list[str]) -> None:
    for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"{'abcdefghijkl'[number]}.h5")
    assert numbers(read_newest(folder, Wanted(4))) == [8, 9, 10, 11]
    assert len(opened) == 12


def test_stamps_that_lie_mislead_nobody(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"copied_202401{20 - number:02}_0000.h5")
    assert numbers(read_newest(folder, Wanted(4))) == [8, 9, 10, 11]


@pytest.mark.parametrize("name", ["AU_20100826_0000_2010082603{:02}.h5", "id20110102_20240101{:04}.h5"])
def test_a_time_that_all_names_share_tells_nothing(folder: Path, name: str) -> None:
    for minute, path in zip(range(0, 60, 5), sorted(folder.iterdir()), strict=True):
        path.rename(folder / name.format(minute))
    assert numbers(read_newest(folder, Wanted(3, np.datetime64("2010-08-26T03:17")))) == [1, 2, 3]


def test_files_that_come_more_or_less_late_are_all_found(folder: Path) -> None:
    for minute, late, path in zip(range(0, 60, 5), 4 * (2, 3, 4), sorted(folder.iterdir()), strict=True):
        path.rename(folder / f"T_PAAH21_C_EUOC_2010082603{minute + late:02}.h5")
    for frame in range(3, 12):
        until = np.datetime64("2010-08-26T03:00") + frame * np.timedelta64(5, "m")
        assert numbers(read_newest(folder, Wanted(3, until))) == [frame - 2, frame - 1, frame]


def test_files_on_another_grid_than_most_are_skipped_where_that_is_asked_for(folder: Path) -> None:
    write_knmi(folder, "2010-08-26T04:00", np.zeros((8, 7)))
    with pytest.raises(ObservationError, match="frames of one size"):
        read_newest(folder, Wanted(4))
    with pytest.warns(InputRepaired, match="another grid"):
        assert numbers(read_newest(folder, Wanted(4, skip_damaged=True))) == [9, 10, 11]


def test_what_turns_out_to_be_damaged_when_it_is_read_is_damaged(tmp_path: Path) -> None:
    for minute in range(0, 25, 5):
        data = simulate(1, (64, 64), seed=1).assign_coords(
            time=[np.datetime64(f"2010-08-26T03:{minute:02}", "ns")]
        )
        path = tmp_path / f"rain_2010082603{minute:02}.nc"
        data.to_netcdf(path, encoding={data.name: {"zlib": True}}, engine="h5netcdf")
    with h5py.File(path) as file:
        (chunk,) = [file[data.name].id.get_chunk_info(0)]
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(content)
    with pytest.raises(ObservationError, match=path.name):
        read_newest(tmp_path, Wanted(4))
    with pytest.warns(InputRepaired, match=path.name):
        assert read_newest(tmp_path, Wanted(4, skip_damaged=True)).attrs["notes"] == "1 damaged files skipped"
    summary = build_archive(str(tmp_path), tmp_path / "a.zarr")
    assert [path.name in refusal.file for refusal in summary.refused] == [True]


def test_files_of_many_frames_are_read_as_far_as_they_are_wanted(tmp_path: Path) -> None:
    for hour in (2, 4, 6):
        write_smhi(tmp_path, np.full((4, 4, 24), 100 + hour, np.uint8), start=f"2021-05-11T0{hour}:00")
    data = read_newest(tmp_path, Wanted(4, np.datetime64("2021-05-11T06:10")))
    assert [str(time)[11:16] for time in data["time"].values] == ["05:55", "06:00", "06:05", "06:10"]


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("RAD_NL25_RAP_5min_201008260300.h5", "2010-08-26T03:00"),
        ("PrecipRate_00.00_20190610-000200.grib2", "2019-06-10T00:02"),
        ("AQC151351545F_00005.801.gif", "2015-05-15T15:45"),
        ("raa01-rx_10000-1408102050-dwd---bin", "2014-08-10T20:50"),
        ("66_20201031_001000.prcp-c10.nc", "2020-10-31T00:10"),
        ("2021_05_11_02_302021_05_11_04_15f1.npy", "2021-05-11T02:30"),
        ("radar_2024-01-20T12:05Z.nc", "2024-01-20T12:05"),
        ("rainfall_NW_2016_08.3.npz", None),
        ("composite.nc", None),
        ("20241399_0000.nc", None),
    ],
)
def test_names_tell_their_time(name: str, time: str | None) -> None:
    assert stamps_of(name)[:1] == ([] if time is None else [np.datetime64(time, "ns")])


@pytest.mark.parametrize("isolated", [False, True])
def test_what_cannot_be_read_is_skipped_where_that_is_asked_for(folder: Path, isolated: bool) -> None:
    read = newest_isolated if isolated else read_newest
    paths = sorted(folder.iterdir())
    paths[11].write_bytes(paths[11].read_bytes()[:3000])
    paths[10].write_bytes(b"")
    with pytest.raises(ObservationError, match=paths[11].name):
        read(folder, Wanted(4))
    if isolated:  # notes are told by the other process
        assert numbers(read(folder, Wanted(4, skip_damaged=True))) == [6, 7, 8, 9]
        return
    with pytest.warns(InputRepaired) as told:
        assert numbers(read(folder, Wanted(4, skip_damaged=True))) == [6, 7, 8, 9]
    assert [path.name in str(note.message) for path, note in zip(paths[:9:-1], told, strict=True)] == [
        True,
        True,
    ]


def test_frames_that_come_twice_are_skipped_where_that_is_asked_for(folder: Path) -> None:
    (folder / "again_201008260350.h5").write_bytes(
        (folder / "RAD_NL25_RAP_5min_201008260350.h5").read_bytes()
    )
    with pytest.raises(ObservationError, match="each time once"):
        read_newest(folder, Wanted(4))
    with pytest.warns(InputRepaired, match="came before"):
        assert numbers(read_newest(folder, Wanted(4, skip_damaged=True))) == [8, 9, 10, 11]


def test_nothing_at_all_is_an_error_that_says_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="until 2009"):
        read_newest(folder, Wanted(4, np.datetime64("2009-01-01")))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.txt").write_text("Dear Sir or Madam")
    with pytest.warns(InputRepaired), pytest.raises(ObservationError, match=r"a\.txt"):
        read_newest(tmp_path / "bad", Wanted(4, skip_damaged=True))


def test_files_that_do_not_fit_together_are_refused_all_the_same(folder: Path) -> None:
    write_fmi_pgm(folder, "201008260400", np.zeros((8, 8)))
    with pytest.raises(ObservationError, match="one product"):
        read_newest(folder, Wanted(4, skip_damaged=True))


def test_all_frames_that_can_be_read_are_opened_where_that_is_asked_for(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    paths[3].write_bytes(paths[3].read_bytes()[:3000])
    (folder / "again.h5").write_bytes(paths[5].read_bytes())
    with pytest.raises(ObservationError, match=paths[3].name):
        open_radar(folder)
    with pytest.warns(InputRepaired) as told:
        assert numbers(open_radar(folder, skip_damaged=True)) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert len(told) == 2
    with pytest.warns(InputRepaired), pytest.raises(ObservationError, match=paths[3].name):
        open_radar(paths[3], skip_damaged=True)
