"""Tiles: each pixel has the colour of the rain that lies there, and none is made twice."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Event
from time import sleep

import numpy as np
import pyproj
import pytest
import service_stores as stores
from PIL import Image

from ssldm.products.grid import PixelGrid
from ssldm.service import tile_colours
from ssldm.service.cache import Cache, Gate
from ssldm.service.mercator import View, shown_of
from ssldm.service.refusals import BusyError, NotThereError
from ssldm.service.store import Store
from ssldm.service.stored import Stored
from ssldm.service.tiles import Tiles
from ssldm.service.times import stamp_of

LAST = stamp_of(stores.LAST)
LON, LAT = 1.9, 53.3


@pytest.fixture
def tiles(store):
    return Tiles(Stored(store))


def tile_at(lon: float, lat: float, zoom: int, size: int = 256) -> View:
    """The tile that a place lies in."""
    x = (lon + 180.0) / 360.0 * 2**zoom
    y = (1.0 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2.0 * 2**zoom
    return View.of_tile(zoom, int(x), int(y), size)


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGBA"))


def exact_places(view: View, grid: PixelGrid) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all pixels' middles, without interpolation."""
    middles = np.arange(view.size) + 0.5
    x, y = np.meshgrid(view.left + middles, view.top + middles)
    to_grid = pyproj.Transformer.from_crs("EPSG:3857", grid.crs, always_xy=True)
    half = 20037508.342789244
    x, y = to_grid.transform(x / view.world * 2 * half - half, half - y / view.world * 2 * half)
    return (y - grid.y) / grid.dy, (x - grid.x) / grid.dx


def colours_of(values: np.ndarray, palette: tile_colours.Palette) -> np.ndarray:
    """RGBA by the legend: the last class that begins at or below a value."""
    found = np.zeros((*values.shape, 4), np.uint8)
    for each in palette.legend():
        found[values >= each["from"] - 1e-5] = [*bytes.fromhex(each["colour"][1:]), 255]
    found[np.isnan(values)] = [*bytes.fromhex(palette.unobserved[1:]), 110]
    return found


@pytest.mark.parametrize("zoom", [8, 9, 11, 14])
def test_a_pixel_has_the_colour_of_the_grid_pixel_that_lies_there(tiles, store, forecast, zoom):
    grid = PixelGrid.of(forecast)
    view = tile_at(LON, LAT, zoom)
    row, column = exact_places(view, grid)
    # Between two pixels rounding decides.
    clear = (abs(row - np.floor(row) - 0.5) > 0.05) & (abs(column - np.floor(column) - 0.5) > 0.05)
    rows, columns = np.rint(row).astype(int), np.rint(column).astype(int)
    inside = (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
    field = store.forecast(stores.DOMAIN, LAST)["rate_quantile"].sel(quantile=0.9)[2].values
    values = np.where(inside, field[rows.clip(0, grid.height - 1), columns.clip(0, grid.width - 1)], 0.0)
    found = pixels_of(tiles.forecast(stores.DOMAIN, LAST, "quantile-0.9", "15", view))
    expected = colours_of(values, tile_colours.rain())
    # Where a pixel of the picture is about as large as one of the grid, it may cover a second one.
    if zoom > 8:
        np.testing.assert_array_equal(found[clear], expected[clear])
    assert (found[clear] == expected[clear]).all(axis=-1).mean() > 0.7
    assert (found[~inside & clear][:, 3] == 0).all()
    assert inside.mean() > 0.2


@pytest.mark.parametrize("zoom", [0, 3, 5, 6, 7])
def test_from_far_a_pixel_has_the_strongest_rain_that_it_covers(tiles, store, zoom):
    frame = store.observed(stores.DOMAIN, LAST)
    grid = PixelGrid.of_fields(frame)
    view = tile_at(LON, LAT, zoom)
    x, y = np.meshgrid(frame["x"].values, frame["y"].values)
    lon, lat = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    right = (lon + 180) / 360 * view.world - view.left
    down = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * view.world - view.top
    found = pixels_of(tiles.observed(stores.DOMAIN, LAST, view))
    shown = shown_of(grid, view)
    strongest = np.full((256, 256), np.nan)
    in_view = (right >= 0) & (right < 256) & (down >= 0) & (down < 256)
    place = down[in_view].astype(int), right[in_view].astype(int)
    np.fmax.at(strongest, place, frame.values[in_view])
    expected = colours_of(strongest, tile_colours.rain())
    covered = np.zeros((256, 256), bool)
    covered[place] = True
    assert shown.outside[covered].mean() <= (0.0 if shown.factor == 1 else 0.25)
    alike = (found[covered] == expected[covered]).all(axis=-1).mean()
    # A block of pixels is taken to lie where its middle does.
    assert alike > (0.97 if shown.factor == 1 else 0.6)


@pytest.mark.parametrize("zoom", range(8))
def test_the_strongest_rain_is_seen_from_any_distance(tiles, store, zoom):
    frame = store.observed(stores.DOMAIN, LAST)
    palette = tile_colours.rain()
    strongest = colours_of(np.array([np.nanmax(frame.values)]), palette)[0]
    row, column = np.unravel_index(np.nanargmax(frame.values), frame.shape)
    to_degrees = pyproj.Transformer.from_crs(PixelGrid.of_fields(frame).crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(frame["x"].values[column], frame["y"].values[row])
    found = pixels_of(tiles.observed(stores.DOMAIN, LAST, tile_at(lon, lat, zoom)))
    assert (found == strongest).all(axis=-1).any()


def test_what_is_not_observed_is_grey_and_what_is_outside_clear(tiles):
    found = pixels_of(tiles.observed(stores.DOMAIN, LAST, tile_at(0.95, 53.68, 11)))
    assert (found[..., 3] == 110).any()
    outside = [View.of_tile(6, x, 40) for x in (0, 5, 63)]
    pictures = {tiles.observed(stores.DOMAIN, LAST, view) for view in outside}
    pictures |= {tiles.forecast(stores.DOMAIN, LAST, "mean", "5", view) for view in outside}
    assert pictures == {tile_colours.transparent(256)}
    assert not pixels_of(pictures.pop()).any()


def test_a_picture_of_512_is_four_tiles_of_the_next_zoom(tiles):
    large = tile_at(LON, LAT, 8, 512)
    x, y = large.left // 512, large.top // 512
    parts = [
        [
            pixels_of(tiles.observed(stores.DOMAIN, LAST, View.of_tile(9, 2 * x + i, 2 * y + j)))
            for i in (0, 1)
        ]
        for j in (0, 1)
    ]
    found = pixels_of(tiles.observed(stores.DOMAIN, LAST, large))
    whole = np.concatenate([np.concatenate(row, axis=1) for row in parts], axis=0)
    assert (found == whole).all(axis=-1).mean() > 0.999


def test_a_picture_around_the_middle_of_a_tile_is_that_tile():
    tile = View.of_tile(7, 64, 41)
    lon = (64.5 / 128) * 360 - 180
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * 41.5 / 128))))
    assert View.around(7, lat, lon, 256) == tile


def test_all_products_are_drawn_with_their_legend(tiles, forecast):
    view = tile_at(LON, LAT, 8)
    for product in stores.about_of(forecast)["products"]:
        palette = tile_colours.probability() if "probability" in product else tile_colours.rain()
        allowed = {tuple(bytes.fromhex(each["colour"][1:])) for each in palette.legend()}
        found = pixels_of(tiles.forecast(stores.DOMAIN, LAST, product, "40", view))
        used = {tuple(colour[:3]) for colour in found[found[..., 3] == 255]}
        assert used, product
        assert used <= allowed, product


@pytest.mark.parametrize(
    ("product", "lead"),
    [
        ("mean", "7"), ("mean", "5x"), ("mean", "-5"), ("member-6", "5"), ("member-", "5"),
        ("quantile-0.3", "5"), ("probability-3", "5"), ("amount-30min-quantile-0.5", "5"),
        ("../../x", "5"), ("mean", "1e1"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(tiles, product, lead):
    with pytest.raises(NotThereError):
        tiles.forecast(stores.DOMAIN, LAST, product, lead, View.of_tile(0, 0, 0))


def test_a_frame_that_is_gone_is_not_there(own_store):
    tiles = Tiles(Stored(own_store))
    own_store.drop_before(stores.DOMAIN, stores.LAST + stores.STEP)
    with pytest.raises(NotThereError):
        tiles.observed(stores.DOMAIN, LAST, View.of_tile(0, 0, 0))
    with pytest.raises(NotThereError):
        tiles.forecast(stores.DOMAIN, LAST, "mean", "5", View.of_tile(0, 0, 0))


def test_a_cycle_that_is_taken_away_while_it_is_read_is_not_there(own_store):
    stored = Stored(own_store)
    stored.forecast(stores.DOMAIN, LAST)

    def read() -> None:
        with stored.reading(stores.DOMAIN, LAST) as forecast:
            own_store.drop_before(stores.DOMAIN, stores.LAST + stores.STEP)
            forecast.data["mean_rate"][0].load()

    with pytest.raises(NotThereError):
        read()


def test_fifty_at_once_get_one_picture(tiles):
    view = tile_at(LON, LAT, 9)
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(tiles.forecast, stores.DOMAIN, LAST, "mean", "10", view) for _ in range(50)]
        assert len({each.result() for each in asked}) == 1
    assert tiles.pictures.made == 1


def test_a_store_elsewhere_gives_the_same_pictures(tiles, frames, forecast):
    elsewhere = Tiles(Stored(stores.fill(Store("memory://tiles"), frames, forecast)))
    view = tile_at(LON, LAT, 8)
    assert elsewhere.observed(stores.DOMAIN, LAST, view) == tiles.observed(stores.DOMAIN, LAST, view)


def test_a_domain_across_the_date_line_is_seen_on_both_sides():
    crs = pyproj.CRS.from_proj4("+proj=laea +lat_0=-20 +lon_0=180 +ellps=WGS84 +units=m")
    grid = PixelGrid(100e3, -100e3, -2e3, 2e3, 101, 101, crs)
    for x in (0, 127):
        shown = shown_of(grid, View.of_tile(7, x, 71))
        assert shown is not None
        assert (shown.nearest >= 0).mean() > 0.1


def test_a_cache_keeps_no_more_than_it_may():
    cache: Cache[bytes] = Cache(10, len)
    for key in range(5):
        cache.get(key, lambda: b"1234")
    assert cache.made == 5
    cache.get(4, lambda: b"")
    cache.get(3, lambda: b"")
    assert cache.made == 5
    assert cache.get(0, lambda: b"12345678") == b"12345678"
    cache.get(4, lambda: b"")
    assert cache.made == 7


def test_what_fails_is_told_to_all_and_tried_again():
    cache: Cache[int] = Cache(10)
    begun, go = Event(), Event()

    def fail() -> int:
        begun.set()
        go.wait(5)
        raise ValueError("no")

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(cache.get, "key", fail) for _ in range(4)]
        begun.wait(5)
        sleep(0.05)
        go.set()
        assert all(isinstance(each.exception(), ValueError) for each in asked)
    assert cache.get("key", lambda: 3) == 3


def test_a_gate_lets_some_wait_and_refuses_others():
    gate, go = Gate(1, 5.0), Event()

    def inside() -> bool:
        with gate.entered():
            return go.wait(5)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(inside) for _ in range(4)]
        sleep(0.1)
        go.set()
        refused = [isinstance(each.exception(), BusyError) for each in asked]
    assert refused.count(True) == 2
