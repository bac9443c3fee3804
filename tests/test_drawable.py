"""A forecast is drawn with north above and west to the left, or refused in one line."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from forecasts import STEP, frames_on, grid_of, random_forecast
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from test_cli import refused, ssldm

from ssldm.drawable import drawable
from ssldm.errors import ConfigurationError, ObservationError, OutputError
from ssldm.forecast.dataset import nowcast_dataset, write_nowcast
from ssldm.plotting import _Panels, plot_nowcast
from ssldm.radar.observations import NAME

ORDERS = {
    "south first": lambda data: data.isel(y=slice(None, None, -1)),
    "east first": lambda data: data.isel(x=slice(None, None, -1)),
    "last lead time first": lambda data: data.isel(lead_time=slice(None, None, -1)),
    "x before y": lambda data: data.transpose(..., "x", "y"),
    "members last": lambda data: data.transpose("y", "lead_time", "x", "member"),
    "all": lambda data: data.transpose("x", "y", "member", "lead_time").isel(
        y=slice(None, None, -1), x=slice(None, None, -1), lead_time=slice(None, None, -1)
    ),
}


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_the_picture_does_not_depend_on_the_order_of_axes(suffix: str, tmp_path: Path) -> None:
    forecast = random_forecast(grid_of(shape=(6, 8)), lead_frames=2)
    plot_nowcast(forecast, tmp_path / f"it{suffix}")
    for name, order in ORDERS.items():
        xr.testing.assert_identical(drawable(order(forecast)), forecast)
        plot_nowcast(order(forecast), tmp_path / f"other{suffix}")
        assert (tmp_path / f"other{suffix}").read_bytes() == (tmp_path / f"it{suffix}").read_bytes(), name


def test_observations_beside_a_forecast_may_be_turned_over_as_it_may_be(tmp_path: Path) -> None:
    grid = grid_of(shape=(6, 8))
    data = frames_on(grid)
    data.values[:] = np.random.default_rng(0).gamma(0.2, 5.0, data.shape)
    rate = np.stack([data.values[1:]] * 2)
    forecast = nowcast_dataset(rate, data[:1], STEP, source="", seed=0, settings="")
    plot_nowcast(forecast, tmp_path / "it.png", observations=data)
    for turned in (data[:, ::-1], data[:, :, ::-1], data[:, ::-1, ::-1]):
        for upside in (forecast, ORDERS["all"](forecast)):
            plot_nowcast(upside, tmp_path / "other.png", observations=turned)
            assert (tmp_path / "other.png").read_bytes() == (tmp_path / "it.png").read_bytes()


def _with_nat(name: str) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(forecast: xr.Dataset) -> xr.Dataset:
        values = np.full_like(forecast[name].values, np.array("NaT", forecast[name].dtype))
        return forecast.assign_coords({name: forecast[name].copy(data=values)})

    return change


UNDRAWABLE: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "a point": (lambda n: n.isel(y=1, x=1), "y, x"),
    "a row": (lambda n: n.isel(y=1), "y, x"),
    "stations": (lambda n: n.isel({a: xr.DataArray([1, 2], dims="s") for a in "yx"}), "y, x"),
    "a further dimension": (lambda n: n.expand_dims(model=2), "model"),
    "no lead times known": (lambda n: n.drop_vars("lead_time"), "lead_time"),
    "lead times as numbers": (lambda n: n.assign_coords(lead_time=[1, 2, 3]), "lead_time"),
    "no reference time": (lambda n: n.drop_vars("forecast_reference_time"), "forecast_reference_time"),
    "many reference times": (lambda n: n.expand_dims("forecast_reference_time"), "forecast_reference_time"),
    "no valid times": (lambda n: n.drop_vars("valid_time"), "valid_time"),
    "NaT as lead time": (_with_nat("lead_time"), "NaT"),
    "NaT as valid time": (_with_nat("valid_time"), "NaT"),
    "NaT as reference time": (_with_nat("forecast_reference_time"), "NaT"),
    "no members": (lambda n: n.isel(member=[]), "size 0 of member"),
    "no lead times": (lambda n: n.isel(lead_time=[]), "size 0 of lead_time"),
    "no pixels": (lambda n: n.isel(y=[], x=[]), "size 0 of y, x"),
    "pixels left out": (lambda n: n.isel(y=[0, 1, 5]), "evenly spaced"),
    "pixels shuffled": (lambda n: n.isel(x=[4, 1, 5]), "evenly spaced"),
    "places not known": (lambda n: n.assign_coords(y=n["y"] * np.nan), "position for every pixel"),
    "words": (lambda n: n.assign({NAME: n[NAME].astype(str)}), "as numbers"),
}


@pytest.mark.parametrize("kind", UNDRAWABLE)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_picture(kind: str, tmp_path: Path) -> None:
    change, words = UNDRAWABLE[kind]
    with pytest.raises(ObservationError) as caught:
        plot_nowcast(change(random_forecast()), tmp_path / "it.png")
    assert words in str(caught.value).replace("'", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), None, "2", [1, 2], True])
def test_a_threshold_is_a_finite_rate_above_nought(value: object, tmp_path: Path) -> None:
    forecast = random_forecast()
    for call in (
        lambda: forecast.ssldm.exceedance_probability(value),
        lambda: plot_nowcast(forecast, tmp_path / "it.png", threshold=value),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigurationError, match="expected a threshold"):
            call()
    if isinstance(value, float | int) and not isinstance(value, bool):
        write_nowcast(forecast, tmp_path / "n.nc")
        out = tmp_path / "it.png"
        refused(
            ssldm("plot", tmp_path / "n.nc", "--out", out, f"--threshold={value}"), "expected a threshold"
        )
        assert not out.exists()


@pytest.mark.parametrize("value", [1, np.float32(1), np.int64(1), np.array(1.0), xr.DataArray(1.0)])
def test_numbers_of_any_library_are_thresholds(value: object) -> None:
    forecast = random_forecast()
    expected = forecast.ssldm.exceedance_probability(1.0)
    xr.testing.assert_identical(forecast.ssldm.exceedance_probability(value), expected)


@pytest.mark.parametrize("path", [None, 7, b"it.png", object(), "a\0.png"])
def test_a_picture_is_written_to_a_path(path: object) -> None:
    with pytest.raises(OutputError, match="expected a path"):
        plot_nowcast(random_forecast(), path)  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", [{"members": -1}, {"members": 1.5}, {"frames_per_second": 0.0}])
def test_numbers_of_a_picture_are_checked_before_it_is_drawn(
    argument: dict[str, float], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError):
        plot_nowcast(random_forecast(), tmp_path / "it.gif", **argument)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".PNG", ".Gif"])
def test_the_format_of_a_picture_goes_by_its_name_in_any_case(suffix: str, tmp_path: Path) -> None:
    plot_nowcast(random_forecast(), str(tmp_path / f"it{suffix}"))
    magic = {".png": b"\x89PNG", ".gif": b"GIF8"}[suffix.lower()]
    assert (tmp_path / f"it{suffix}").read_bytes().startswith(magic)


@pytest.mark.parametrize("lead_frames", [1, 2, 4])
@pytest.mark.parametrize("product", ["KNMI", "RADAR COMPOSITE OF MANY SERVICES WITH A VERY LONG NAME " * 2])
def test_texts_of_a_sheet_lie_inside_of_it_and_apart(
    lead_frames: int, product: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        sheets.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    forecast = random_forecast(lead_frames=lead_frames, product=product)
    plot_nowcast(forecast.assign_attrs(source="ssldm-small 0123456789ab"), tmp_path / "it.png")
    (sheet,) = sheets
    canvas = FigureCanvasAgg(sheet)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [*sheet.texts, *(axis.title for axis in sheet.axes), *(axis.xaxis.label for axis in sheet.axes)]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    assert len(boxes) > 5 * lead_frames
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= sheet.bbox.x1
        assert box.y1 <= sheet.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_members_are_called_by_their_own_numbers() -> None:
    panels = _Panels(random_forecast(members=6).isel(member=[5, 2]), None, 2.0, 3).fields(0)
    assert [title for title, *_ in panels if "member" in title] == ["member 5", "member 2"]


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.nc")
    (tmp_path / "link.nc").symlink_to("fifo.nc")
    (tmp_path / "x.zarr").mkdir()
    os.mkfifo(tmp_path / "x.zarr" / ".zmetadata")
    out = ("--out", tmp_path / "it.png")
    for name in ("fifo.nc", "link.nc", "x.zarr"):
        refused(ssldm("plot", tmp_path / name, *out), "expected a regular file, found a named pipe")
    refused(ssldm("plot", tmp_path / "none.nc", *out), "none.nc", "no such file")
