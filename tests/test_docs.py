"""What the documentation shows runs: Python, commands and the notebook, each page in a folder of its own."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer
from radar_files import change_attributes, write_knmi
from test_cli import ssldm as command

import ssldm
from ssldm.forecast.nowcaster import Nowcaster

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebooks" / "catchments.ipynb"
TUTORIAL = "docs/tutorial.md"
NOT_RUN = {
    "README.md": {
        "ssldm serve --demo": "goes on until it is told to stop: tests/service/test_demo.py",
        "ssldm verify --data ARCHIVE.zarr --out report": "minutes, and takes pysteps",
        "ssldm archive build RADAR_FILES... archive.zarr": "RADAR_FILES... stands for other names",
        "ssldm train autoencoder --preset small --data archive.zarr --out runs/autoencoder": "hours",
        "ssldm train denoiser --preset small --data archive.zarr --autoencoder runs/autoencoder"
        " --out runs/denoiser": "hours",
        "ssldm nowcast FILES... --model runs/denoiser/model --out nowcast.nc": "the model takes hours",
    },
    TUTORIAL: {},
    "docs/forecast.md": {},
    "docs/products.md": {},
}
# Every member takes time; scenarios(4) takes four.
MOST_MEMBERS = 4
UTRECHT = {"lat": 52.09, "lon": 5.12}
KNMI_KM = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +ellps=WGS84 +units=km"


def snippets(page: str) -> list[tuple[str, str]]:
    """The blocks of Python, and the commands of ssldm without their comments, in the order of the page."""
    found = []
    text = (ROOT / page).read_text(encoding="utf-8")
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language == "python":
            found.append((language, code))
        elif language == "bash":
            lines = [re.split(r"\s+#", line)[0].strip() for line in code.splitlines()]
            found += [(language, line) for line in lines if line.startswith("ssldm ")]
    return found


def write_radar_files(folder: Path) -> None:
    """An hour of 96×96 pixels around Utrecht until 03:15, under the names of the pages."""
    east, north = Transformer.from_crs("EPSG:4326", KNMI_KM, always_xy=True).transform(
        UTRECHT["lon"], UTRECHT["lat"]
    )
    corner = {
        "geo_column_offset": np.array([east - 60.5], np.float32),
        "geo_row_offset": np.array([-(north + 50.5)], np.float32),
    }
    values = (ssldm.simulate(12, (96, 96), seed=2).values * 100 / 12).round()
    for minute, frame in zip(range(140, 200, 5), values, strict=True):
        path = write_knmi(folder, f"2010-08-26T{minute // 60:02}:{minute % 60:02}", frame)
        change_attributes(path, "geographic", **corner)


def write_inputs_of_products(folder: Path) -> None:
    """A forecast, a town and a catchment, as `docs/products.md` takes for given."""
    observations = ssldm.open_radar(str(folder / "*.h5"))
    ssldm.write_nowcast(Nowcaster.from_pretrained("small").nowcast(observations), folder / "nowcast.nc")
    (folder / "towns.csv").write_text(f"name,lat,lon\nUtrecht,{UTRECHT['lat']},{UTRECHT['lon']}\n")
    west, south = UTRECHT["lon"] - 0.05, UTRECHT["lat"] - 0.05
    corners = [(west, south), (west + 0.2, south), (west + 0.2, south + 0.1), (west, south + 0.1)]
    shape = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    feature = {"type": "Feature", "properties": {"name": "Vecht"}, "geometry": shape}
    (folder / "catchments.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a page runs in, where ensembles are small."""
    whole = Nowcaster.nowcast

    def small(self: Nowcaster, observations: xr.DataArray, **options: Any) -> xr.Dataset:
        members = min(options.pop("members", MOST_MEMBERS), MOST_MEMBERS)
        return whole(self, observations, members=members, **options)

    monkeypatch.setattr(Nowcaster, "nowcast", small)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(line: str, folder: Path) -> None:
    """Run a line as bash would, whose braces, patterns and quotes it has; its output is there then."""
    expanded = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    ).stdout
    words = expanded.split("\0")[1:-1]
    result = command(*words)
    assert result.returncode == 0, f"{line}: {result.stderr}"
    assert (folder / words[words.index("--out") + 1]).exists(), line


def check_results(names: dict[str, Any]) -> None:
    """It rains in the forecast, and some of the probabilities are known, where there are any."""
    assert float(names["forecast"]["precipitation_rate"].max()) > 0.1
    probability = names.get("probability", xr.DataArray(0.0))
    assert probability.notnull().any()
    assert ((probability >= 0.0) & (probability <= 1.0) | probability.isnull()).all()


@pytest.mark.parametrize("page", NOT_RUN)
def test_the_snippets_of_a_page_run_in_their_order(page: str, folder: Path) -> None:
    write_radar_files(folder)
    if page == "docs/products.md":
        write_inputs_of_products(folder)
    names: dict[str, Any] = {}
    for language, code in snippets(page):
        if code in NOT_RUN[page]:
            continue
        if language == "python":
            exec(compile(code, page, "exec"), names)  # noqa: S102
        else:
            run_command(code, folder)
    check_results(names)


@pytest.mark.parametrize("page", NOT_RUN)
def test_what_is_not_run_is_still_on_the_page(page: str) -> None:
    found = [code for _, code in snippets(page)]
    assert set(NOT_RUN[page]) <= set(found)
    assert len(found) > len(NOT_RUN[page])


def test_the_cells_of_the_notebook_run_in_their_order(folder: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)  # noqa: S102
    check_results(names)


@pytest.mark.parametrize("page", [ROOT / TUTORIAL, NOTEBOOK])
def test_the_outputs_that_are_shown_are_those_of_the_shipped_weights(page: Path) -> None:
    assert Nowcaster.from_pretrained("small").source in page.read_text(encoding="utf-8")
