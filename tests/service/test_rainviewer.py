"""RainViewer's layout: what reads theirs finds the same maps here."""

from io import BytesIO

import numpy as np
import pytest
import service_stores as stores
from PIL import Image

from ssldm.service.tile_colours import Reflectivity
from ssldm.service.times import stamp_of, time_of

LAST = stamp_of(stores.LAST)


@pytest.fixture
def maps(client):
    return client.get("/public/weather-maps.json", headers={"Host": "rain.example:8000"}).json()


def test_the_maps_are_the_frames_and_the_newest_forecast(maps):
    assert maps["version"] == "2.0"
    assert maps["host"] == "http://rain.example:8000"
    assert maps["satellite"] == {"infrared": []}
    start = int((stores.LAST - np.datetime64(0, "s")) / np.timedelta64(1, "s"))
    assert maps["generated"] == start + 60
    past, nowcast = maps["radar"]["past"], maps["radar"]["nowcast"]
    assert [each["time"] for each in past] == [start - 300 * n for n in range(stores.FRAMES - 1, -1, -1)]
    assert [each["time"] for each in nowcast] == [start + 60 * int(lead) for lead in stores.lead_minutes()]


def test_paths_lead_to_the_tiles_of_their_times(client, maps):
    tile = "8/129/82"
    for number in (0, -1):
        path = maps["radar"]["past"][number]["path"]
        stamp = next(part for part in path.split("/") if time_of(part) is not None)
        own = client.get(f"/tiles/nl/observed/{stamp}/{tile}.png")
        for colour, options in (("2", "1_1"), ("255", "x")):
            answer = client.get(f"{path}/256/{tile}/{colour}/{options}.png")
            assert answer.status_code == 200
            assert answer.content == own.content
        lead = f"{stores.lead_minutes()[number]:g}"
        path = maps["radar"]["nowcast"][number]["path"]
        own = client.get(f"/tiles/nl/{LAST}/mean/{lead}/{tile}.png")
        assert client.get(f"{path}/256/{tile}/2/1_1.png").content == own.content


def test_no_forecast_is_for_what_was_observed(client, maps):
    newest = maps["radar"]["past"][-1]["time"]
    assert all(each["time"] > newest for each in maps["radar"]["nowcast"])


def test_scheme_0_is_reflectivity_by_its_rate():
    rate = np.array([[0.0, 1.0, 10.0, np.nan, 5.0]], np.float32)
    outside = np.array([[False, False, False, False, True]])
    picture = np.asarray(Image.open(BytesIO(Reflectivity().picture(rate, outside))).convert("RGBA"))
    red, alpha = picture[0, :, 0].astype(int), picture[0, :, 3]
    # 23 dBZ for 1 mm/h and 16 dB more for each power of ten.
    assert list(red[:3]) == [0, 23 + 32, 39 + 32]
    assert list(alpha) == [255, 255, 255, 0, 0]


def test_scheme_0_shows_the_same_frames(client, maps):
    for kind in ("past", "nowcast"):
        path = maps["radar"][kind][-1]["path"]
        raw, coloured = (
            np.asarray(Image.open(BytesIO(client.get(f"{path}/256/8/129/82/{colour}/0_0.png").content)).convert("RGBA"))
            for colour in ("0", "2")
        )  # fmt: skip
        wet = coloured[..., 3] == 255
        assert wet.any()
        assert (raw[wet][:, 3] == 255).all()
        assert (raw[wet][:, 0] >= 23 + 32 - 16).all()  # 0.1 mm/h and more


def test_pictures_have_their_size_and_lie_around_places(client, maps):
    path = maps["radar"]["past"][-1]["path"]
    for size in (256, 512):
        for place in ("8/129/82", "8/53.3/1.9", "8/-53.3000/-120.5"):
            answer = client.get(f"{path}/{size}/{place}/2/1_1.png")
            assert answer.status_code == 200, place
            assert Image.open(BytesIO(answer.content)).size == (size, size)
    middle = np.asarray(
        Image.open(BytesIO(client.get(f"{path}/256/10/53.3/1.9/2/1_1.png").content)).convert("RGBA")
    )
    x = (1.9 + 180) / 360 * 1024
    y = (1 - np.arcsinh(np.tan(np.radians(53.3))) / np.pi) / 2 * 1024
    tile = client.get(f"{path}/256/10/{int(x)}/{int(y)}/2/1_1.png").content
    at = int((y % 1) * 256), int((x % 1) * 256)
    assert (np.asarray(Image.open(BytesIO(tile)).convert("RGBA"))[at] == middle[128, 128]).all()


@pytest.mark.parametrize(
    "address",
    [
        "128/8/129/82", "1024/8/129/82", "256/8/129/256", "256/8/89.0/0.0", "256/8/1.0/181.0", "256/8/53/1.9",
        "256/15/0/0", "256/8/nan/inf", "256/8/1e1/2", "256/x/0/0",
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(client, address):
    answer = client.get(f"/v2/radar/nl/{LAST}/{address}/2/1_1.png")
    assert answer.status_code in (404, 422)
    assert list(answer.json()) == ["detail"]


def test_coverage_is_black_where_nothing_is_observed(client):
    def alpha(tile: str) -> np.ndarray:
        answer = client.get(f"/v2/coverage/0/256/{tile}/0/0_0.png")
        assert answer.headers["cache-control"] == "no-cache"
        return np.asarray(Image.open(BytesIO(answer.content)).convert("RGBA"))[..., 3]

    assert (alpha("8/0/0") == 255).all()
    assert set(np.unique(alpha("8/129/82"))) == {0, 255}
    assert alpha("10/53.3/1.9")[128, 128] == 0


def test_other_domains_are_asked_for_by_name(client):
    found = client.get("/public/weather-maps.json", params={"domain": stores.EMPTY}).json()
    assert found["radar"] == {"past": [], "nowcast": []}
    assert client.get("/public/weather-maps.json", params={"domain": "x"}).status_code == 404
    assert (
        client.get("/v2/coverage/0/256/0/0/0/0/0_0.png", params={"domain": stores.EMPTY}).status_code == 404
    )
