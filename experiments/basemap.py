"""Coasts, borders and towns of `src/ssldm/map_data`, from public-domain data.

    python experiments/basemap.py COUNTRIES.json CITIES.shp ZONES.tab

COUNTRIES.json is Natural Earth's map of countries at 1:10 million as TopoJSON (`countries-10m.json` of the
npm package world-atlas), CITIES.shp its cities at 1:110 million (in the PyPI package geopandas 0.14),
ZONES.tab the places of the time zone database (`zone.tab`).
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import shapely

OUT = Path(__file__).parents[1] / "src/ssldm/map_data"
# Degrees: of the simplification, and one step of the numbers that are stored.
SIMPLE, STEP = 0.004, 0.002
# Towns nearer to one of a larger map than this, in degrees, are the same.
SAME = 0.15


def lines(path: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Coasts and borders ``(n, 2)``, longitude and latitude: arcs of one and of several countries."""
    topology = json.loads(path.read_text())
    scale, shift = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    owners: dict[int, set[int]] = defaultdict(set)

    def own(part: object, country: int) -> None:
        if isinstance(part, int):
            owners[part if part >= 0 else ~part].add(country)
        elif isinstance(part, list):
            for each in part:
                own(each, country)

    for country, geometry in enumerate(topology["objects"]["countries"]["geometries"]):
        own(geometry.get("arcs", []), country)
    coast, border = [], []
    for number, arc in enumerate(topology["arcs"]):
        degrees = np.cumsum(np.array(arc, float), axis=0) * scale + shift
        simple = shapely.get_coordinates(shapely.LineString(degrees).simplify(SIMPLE))
        # The edges of the map, where it was cut.
        if len(simple) == 2 and (np.abs(simple[:, 0]) > 179.9).all():
            continue
        (border if len(owners[number]) > 1 else coast).append(simple)
    return coast, border


def towns(cities: Path, zones: Path) -> list[tuple[str, float, float]]:
    """Names, longitudes and latitudes, the larger ones first."""
    about, _, geometry, fields = pyogrio.raw.read(cities)
    names = [str(name) for name in fields[list(about["fields"]).index("name")]]
    places = shapely.get_coordinates(shapely.from_wkb(geometry))
    # The file has the largest last.
    found = [(name, *map(float, place)) for name, place in zip(names, places, strict=True)][::-1]
    for line in zones.read_text().splitlines():
        if line.startswith("#"):
            continue
        _, place, zone, *_ = line.split("\t")
        lat, lon = (degrees(text) for text in re.findall(r"[+-]\d+", place))
        if all(np.hypot(lon - x, lat - y) > SAME for _, x, y in found):
            found.append((zone.split("/")[-1].replace("_", " "), lon, lat))
    return found


def degrees(text: str) -> float:
    """±DDMM, ±DDDMM, ±DDMMSS or ±DDDMMSS."""
    sign, digits = (-1.0 if text[0] == "-" else 1.0), text[1:]
    seconds = digits[-2:] if len(digits) > 5 else ""
    rest = digits[: len(digits) - len(seconds)]
    return sign * (int(rest[:-2]) + int(rest[-2:]) / 60.0 + int(seconds or 0) / 3600.0)


def packed(parts: list[np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Lines as whole steps from point to point, and how many points each has."""
    steps = [np.round(part / STEP).astype(np.int32) for part in parts]
    return {
        f"{name}_steps": np.concatenate([np.diff(part, axis=0, prepend=part[:1] * 0) for part in steps]),
        f"{name}_points": np.array([len(part) for part in steps], np.int32),
    }


def main() -> None:
    """Write lines and towns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("countries", "cities", "zones"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    coast, border = lines(given.countries)
    named = towns(given.cities, given.zones)
    np.savez_compressed(OUT / "lines.npz", step=STEP, **packed(coast, "coast"), **packed(border, "border"))
    table = pd.DataFrame(named, columns=["name", "lon", "lat"])[["name", "lat", "lon"]]
    table.to_csv(OUT / "towns.csv", index=False, float_format="%.3f")
    print(len(coast), len(border), len(named), (OUT / "lines.npz").stat().st_size)


if __name__ == "__main__":
    main()
