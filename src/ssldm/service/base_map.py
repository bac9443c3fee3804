"""Coasts, borders and towns around domains, as GeoJSON."""

from collections.abc import Sequence
from typing import Any

import shapely

from ssldm.basemap import world_lines, world_towns

Bounds = tuple[float, float, float, float]
# Degrees around a domain.
_AROUND = 4.0
_DIGITS = 3


def around(bounds: Sequence[Sequence[float]]) -> tuple[Bounds, ...]:
    """West, south, east and north of what is shown of some domains."""
    return tuple((w - _AROUND, s - _AROUND, e + _AROUND, n + _AROUND) for w, s, e, n in bounds)


def lines(shown: Sequence[Bounds]) -> dict[str, Any]:
    """Coasts and borders, with the property ``kind``."""
    features: list[dict[str, Any]] = []
    area = shapely.union_all([shapely.box(*each) for each in shown])
    for kind, found in world_lines().items():
        near = [shapely.LineString(line.points) for line in found if any(map(line.near, shown))]
        cut = shapely.get_parts(shapely.intersection(near, area)) if near else []
        parts = [each for each in cut if isinstance(each, shapely.LineString) and not each.is_empty]
        coordinates = [_rounded(shapely.get_coordinates(each).tolist()) for each in parts]
        geometry = {"type": "MultiLineString", "coordinates": coordinates}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"kind": kind}})
    return {"type": "FeatureCollection", "features": features}


def towns(shown: Sequence[Bounds]) -> dict[str, Any]:
    """Towns, with the properties ``name`` and ``rank``: 1 is the most important."""
    features: list[dict[str, Any]] = []
    table = world_towns()
    for name, lat, lon in zip(
        table["name"], table["lat"].astype(float), table["lon"].astype(float), strict=True
    ):
        if any(west <= lon <= east and south <= lat <= north for west, south, east, north in shown):
            geometry = {"type": "Point", "coordinates": [lon, lat]}
            properties = {"name": str(name), "rank": len(features) + 1}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def _rounded(points: list[list[float]]) -> list[list[float]]:
    return [[round(each, _DIGITS) for each in point] for point in points]
