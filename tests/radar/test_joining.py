"""Files make one series where product, grid, projection and period fit, and are refused by name otherwise."""

from pathlib import Path

import numpy as np
import pytest
from radar_files import change_attributes, write_geotiff, write_knmi, write_odim

from ssldm.errors import ObservationError
from ssldm.radar.archive_build import build_archive
from ssldm.radar.open import open_radar

RATES = np.ones((4, 4), np.float32)
LAEA = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84 +units=m"


def images(folder: Path, *projections: str, shift: float = 0.0) -> list[Path]:
    from rasterio.transform import from_origin

    return [
        write_geotiff(
            folder,
            f"20240101120{number}.tif",
            RATES,
            unit="mm/h",
            crs=projection,
            transform=from_origin(number * shift, 0.0, 2000.0, 2000.0),
        )
        for number, projection in enumerate(projections)
    ]


def test_frames_of_different_projections_are_refused_by_both_names(tmp_path: Path) -> None:
    with pytest.raises(
        ObservationError, match=r"one projection, found ETRS89-extended / LAEA Europe and WGS 84"
    ):
        open_radar(images(tmp_path, "EPSG:3035", "EPSG:3857"))
    with pytest.raises(ObservationError, match=r"\+lat_0=55 .*\+lat_0=56 "):
        open_radar(images(tmp_path, LAEA, LAEA.replace("lat_0=55", "lat_0=56")))


def test_one_projection_may_be_written_in_two_ways(tmp_path: Path) -> None:
    same = LAEA.replace("+lat_0=55", "+lat_0=55.0").replace("+ellps=WGS84", "+datum=WGS84")
    assert open_radar(images(tmp_path, LAEA, same)).sizes["time"] == 2


def test_projections_that_agree_in_one_corner_alone_are_refused(tmp_path: Path) -> None:
    """They have their origin in common, where the images begin."""
    true_at = [f"+proj=stere +lat_0=90 +lat_ts={latitude} +ellps=WGS84" for latitude in (60, 62)]
    with pytest.raises(ObservationError, match="expected one projection"):
        open_radar(images(tmp_path, *true_at))


@pytest.mark.parametrize(("pixels", "fits"), [(0.005, True), (0.02, False), (0.5, False)])
def test_grids_are_one_to_a_hundredth_of_a_pixel_wherever_they_lie(
    tmp_path: Path, pixels: float, fits: bool
) -> None:
    paths = images(tmp_path, LAEA, LAEA, shift=2000.0 * pixels)
    if fits:
        assert open_radar(paths).sizes["time"] == 2
    else:
        with pytest.raises(ObservationError, match=r"expected one grid, found another .* m away in x"):
            open_radar(paths)


@pytest.mark.parametrize(("metres", "fits"), [(16, True), (24, False)])
def test_projections_are_one_to_a_hundredth_of_a_pixel(tmp_path: Path, metres: int, fits: bool) -> None:
    paths = images(tmp_path, LAEA, LAEA.replace("+x_0=1950000", f"+x_0={1950000 + metres}"))
    if fits:
        assert open_radar(paths).sizes["time"] == 2
    else:
        with pytest.raises(ObservationError, match="expected one projection"):
            open_radar(paths)


def test_grids_far_from_their_origin_are_compared_as_strictly(tmp_path: Path) -> None:
    """3,650 km from the pole a hundred-thousandth of the coordinate would be 36 m."""
    first, second = (write_knmi(tmp_path, f"2010-08-26T03:0{m}", np.zeros((4, 4))) for m in (0, 5))
    change_attributes(second, "geographic", geo_row_offset=3650.03)
    with pytest.raises(ObservationError, match="expected one grid, found another"):
        open_radar([first, second])


def test_sums_that_overlap_are_refused(tmp_path: Path) -> None:
    paths = [write_odim(tmp_path, f"201808241{m}00", np.zeros((2, 2)), "ACRR") for m in (800, 805)]
    for path, start, end in zip(paths, ("174500", "175000"), ("180000", "180500"), strict=True):
        change_attributes(path, "dataset1/what", starttime=start, endtime=end)
    with pytest.raises(ObservationError, match="found sums over 15 minutes every 5 minutes"):
        open_radar(paths)
    summary = build_archive(list(map(str, paths)), tmp_path / "a.zarr")
    assert any("its sums overlap" in line for line in summary.lines())
    following = write_odim(tmp_path, "20180824181500", np.zeros((2, 2)), "ACRR")
    assert open_radar([paths[0], following]).sizes["time"] == 2
