"""Large maps of a product, what lies under them, and the fan of a place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import Transformer
from small_nowcasts import random_nowcast
from test_cli import refused, ssldm

from ssldm.basemap import Basemap
from ssldm.drawable import covered, drawable
from ssldm.errors import ConfigurationError, ObservationError
from ssldm.fan_chart import plot_fan
from ssldm.forecast.dataset import nowcast_dataset, write_nowcast
from ssldm.product_maps import PRODUCTS, MapChoice, plot_map
from ssldm.products.grid import PixelGrid
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.rain_maps import rain_colours

DUTCH = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752 +units=m +no_defs"
PLACES = {"Amsterdam": (52.37, 4.9), "Brussels": (50.83, 4.33)}


@pytest.fixture(scope="module")
def dutch() -> xr.Dataset:
    """A forecast on the grid of the Dutch composite, at two kilometres."""
    y, x = -3_651_000.0 - 2000.0 * np.arange(382), 1000.0 + 2000.0 * np.arange(350)
    time = np.array(["2010-08-26T03:30"], "datetime64[ns]")
    last = observations(np.zeros((1, 382, 350), np.float32), time, Grid(x, y, DUTCH), {"product": "KNMI"})
    rate = np.random.default_rng(0).gamma(0.2, 4.0, (3, 2, 382, 350)).astype(np.float32)
    rate[..., :100, :] = np.nan
    return nowcast_dataset(rate, last, np.timedelta64(30, "m"), source="it", seed=0, settings="")


def test_towns_and_coasts_lie_where_they_are(dutch: xr.Dataset) -> None:
    grid = PixelGrid.of(dutch)
    base = Basemap.of(grid)
    found = {name: (column, row) for name, column, row in base.towns}
    to_metres = Transformer.from_crs("EPSG:4326", DUTCH, always_xy=True)
    for name, (lat, lon) in PLACES.items():
        x, y = to_metres.transform(lon, lat)
        np.testing.assert_allclose(found[name], ((x - grid.x) / grid.dx, (y - grid.y) / grid.dy), atol=3.0)
    # The lighthouse of Westkapelle stands at the coast.
    x, y = to_metres.transform(3.4386, 51.5293)
    place = (x - grid.x) / grid.dx, (y - grid.y) / grid.dy
    assert min(np.hypot(*(line - place).T).min() for line in base.coast) < 3.0
    for line in base.coast + base.border + base.graticule:
        assert (line >= -0.5 - 1e-6).all()
        assert (line <= (349.5 + 1e-6, 381.5 + 1e-6)).all()
    assert {"52°N", "4°E"} <= {text for text, *_ in base.degrees}


def test_without_a_projection_there_is_only_a_scale() -> None:
    grid = PixelGrid.of(random_nowcast(2, 1, 20, 30))
    base = Basemap.of(PixelGrid(grid.y, grid.x, grid.dy, grid.dx, 20, 30, None))
    assert base.coast == base.towns == base.graticule == []
    assert base.metres == abs(grid.dx)


def test_maps_are_cropped_to_what_is_forecast(dutch: xr.Dataset) -> None:
    assert covered(drawable(dutch)) == {"y": slice(96, 386), "x": slice(0, 354)}
    nothing = dutch.where(False)
    assert covered(nothing) == {"y": slice(None), "x": slice(None)}


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_has_a_map(product: str, dutch: xr.Dataset, tmp_path: Path) -> None:
    choice = MapChoice(product, threshold=1.0, quantile=0.9, member=2)
    title, fields = choice.of(dutch)
    expected = {
        "mean": dutch.ssldm.mean(),
        "matched_mean": dutch.ssldm.probability_matched_mean(),
        "member": dutch["precipitation_rate"][2],
        "quantile": dutch.ssldm.quantile(0.9),
        "probability": dutch.ssldm.exceedance_probability(1.0),
    }[product]
    np.testing.assert_array_equal(fields, expected)
    plot_map(dutch, tmp_path / "it.png", choice, lead_time=np.timedelta64(30, "m"))
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    assert title


def test_amounts_have_maps_too(dutch: xr.Dataset) -> None:
    title, fields = MapChoice("probability", threshold=3.0, period="60min").of(dutch)
    assert title == "probability of at least 3 mm in 60min"
    np.testing.assert_array_equal(fields, dutch.ssldm.exceedance_probability(3.0, period="60min"))


def test_maps_move_and_scale(dutch: xr.Dataset, tmp_path: Path) -> None:
    towns = pd.DataFrame({"name": ["Mill"], "lat": [51.69], "lon": [5.78]})
    for name, start in (("it.gif", b"GIF8"), ("it.svg", b"<?xml")):
        plot_map(dutch, tmp_path / name, MapChoice("mean"), towns=towns)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert "ensemble mean" in (tmp_path / "it.svg").read_text()
    assert [name for name, *_ in Basemap.of(PixelGrid.of(dutch), towns).towns] == ["Mill"]


@pytest.mark.parametrize(
    ("choice", "lead", "said"),
    [
        (MapChoice("mode"), 30, "matched_mean"),  # type: ignore[arg-type]
        (MapChoice("member", member=9), 30, "a member of the forecast, found 9"),
        (MapChoice("mean", period="60min"), 30, "quantile or probability of a period"),
        (MapChoice("mean"), 31, "30 to 60 min, found 31 min"),
    ],
)
def test_maps_that_cannot_be_made_are_refused(
    choice: MapChoice, lead: int, said: str, dutch: xr.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plot_map(dutch, tmp_path / "it.png", choice, lead_time=np.timedelta64(lead, "m"))
    assert not list(tmp_path.iterdir())


def test_a_place_has_a_fan(dutch: xr.Dataset, tmp_path: Path) -> None:
    place = dutch.ssldm.at(lat=51.5, lon=5.5)
    plot_fan(place, tmp_path / "it.png", name="Mill")
    assert (tmp_path / "it.png").stat().st_size > 10_000
    with pytest.raises(ObservationError, match="one place"):
        plot_fan(dutch, tmp_path / "no.png")
    with pytest.raises(ObservationError, match="fan chart"):
        plot_fan(place, tmp_path / "no.gif")


def test_the_command_draws_maps_and_fans(dutch: xr.Dataset, tmp_path: Path) -> None:
    write_nowcast(dutch, tmp_path / "n.nc")
    (tmp_path / "towns.csv").write_text("name,lat,lon\nMill,51.69,5.78\n")
    (tmp_path / "metres.csv").write_text("name,x,y\nMill,0,0\n")
    for name, options in (
        ("map.svg", ("--product", "quantile", "--quantile", "0.9", "--towns", tmp_path / "towns.csv")),
        ("fan.svg", ("--at", "51.5,5.5")),
    ):
        done = ssldm("plot", tmp_path / "n.nc", "--out", tmp_path / name, *options)
        assert done.returncode == 0, done.stderr
    assert "90% quantile of rates" in (tmp_path / "map.svg").read_text()
    assert "51.5°N, 5.5°E" in (tmp_path / "fan.svg").read_text()
    nowhere = dutch.drop_vars("crs").assign(precipitation_rate=dutch["precipitation_rate"].drop_attrs())
    write_nowcast(nowhere.drop_vars("crs"), tmp_path / "nowhere.nc")
    done = ssldm("plot", tmp_path / "nowhere.nc", "--out", tmp_path / "metres.svg", "--at", "5000,-4000000")
    assert done.returncode == 0, done.stderr
    assert "x 5000 m, y -4e+06 m" in (tmp_path / "metres.svg").read_text()
    out = ("plot", tmp_path / "n.nc", "--out", tmp_path / "no.png")
    refused(ssldm(*out, "--at", "51,5", "--product", "mean"), "--product or --at, found both")
    refused(ssldm(*out, "--at", "10,5"), "expected places within")
    refused(ssldm(*out, "--product", "mean", "--towns", tmp_path / "metres.csv"), "found x and y")


def test_rain_colours_are_told_apart_without_red_and_green() -> None:
    """Each from the next, and heavy from weak rain, in CIELAB as people with deuteranopia see it."""
    colour_map, _ = rain_colours()
    seen = _lab(_linear(colour_map) @ _DEUTERANOPIA.T)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert apart[~np.eye(len(seen), dtype=bool)].min() > 8.0


# Machado et al. 2009, in linear light.
_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def _linear(colour_map: object) -> np.ndarray:
    from matplotlib.colors import to_rgb

    given = np.array([to_rgb(colour) for colour in [*colour_map.colors, colour_map.get_over()]])
    return np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(linear, 0.0, 1.0) @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    return np.stack(
        [116.0 * f[:, 1] - 16.0, 500.0 * (f[:, 0] - f[:, 1]), 200.0 * (f[:, 1] - f[:, 2])], axis=-1
    )
