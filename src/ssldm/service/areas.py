"""Areas that a request brings as GeoJSON: checked before anything is computed with them."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import shapely
import shapely.geometry
from pyproj import Geod

from ssldm.errors import ConfigurationError
from ssldm.products.grid import PixelGrid
from ssldm.products.polygons import Area, areas_of
from ssldm.service.config import Limits
from ssldm.service.refusals import UnfitRequestError

MOST_AREAS = 10
_MOST_NAME = 80
# Vertices of polygons whose sides cross; pixels along all outlines; domains that all areas together span.
_MOST_INVALID, _MOST_OUTLINE, _MOST_AROUND = 200, 50_000, 3
_DEGREES = "EPSG:4326"
_GEOD = Geod(ellps="WGS84")


def areas_in(body: bytes, grid: PixelGrid, limits: Limits) -> list[Area]:
    """Areas of a request in the projection of a grid.

    Args:
        body: GeoJSON in degrees: a Polygon, MultiPolygon, Feature or FeatureCollection.
        grid: of the forecast.
        limits: of area and vertices, of all together.

    Raises:
        UnfitRequestError: no GeoJSON, no polygons, polygons without an area on the map, or too much of them.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnfitRequestError("expected GeoJSON") from error
    features = [_feature(each) for each in _parts(content)]
    if not 1 <= len(features) <= MOST_AREAS:
        raise UnfitRequestError(f"expected 1 to {MOST_AREAS} areas, found {len(features)}")
    vertices = sum(len(ring) for each in features for ring in _rings(each["geometry"]))
    if vertices > limits.vertices:
        raise UnfitRequestError(f"expected at most {limits.vertices} vertices, found {vertices}")
    _check_size(sum(_square_km(each["geometry"]) for each in features), limits)
    named = all(each["properties"] for each in features)
    valid = [each | {"geometry": _without_crossings(each["geometry"], vertices)} for each in features]
    collection = {"type": "FeatureCollection", "features": valid}
    try:
        areas = areas_of(collection, grid, crs=_DEGREES, names="name" if named else None)
    except (ConfigurationError, shapely.errors.ShapelyError) as error:
        raise UnfitRequestError(" ".join(str(error).split())[:200]) from error
    _check_size(sum(each.shape.area for each in areas) / 1e6, limits)
    _check_effort(areas, grid)
    return areas


def _check_size(square_km: float, limits: Limits) -> None:
    if not square_km <= limits.area_km2:
        raise UnfitRequestError(f"expected at most {limits.area_km2:.0f} km² of areas, found {square_km:.0f}")


def _check_effort(areas: list[Area], grid: PixelGrid) -> None:
    """Shapes of small area may still run through all pixels, many times."""
    pixel = min(abs(grid.dx), abs(grid.dy))
    outline = sum(each.shape.length for each in areas) / pixel
    if outline > _MOST_OUTLINE:
        raise UnfitRequestError(f"expected outlines of at most {_MOST_OUTLINE} pixels, found {outline:.0f}")
    around = 0.0
    for each in areas:
        west, south, east, north = each.shape.bounds
        columns = min((east - west) / abs(grid.dx) + 2, grid.width)
        around += columns * min((north - south) / abs(grid.dy) + 2, grid.height)
    if around > _MOST_AROUND * grid.width * grid.height:
        raise UnfitRequestError("expected areas that together span the domain at most a few times")


def _without_crossings(geometry: Mapping[str, Any], vertices: int) -> Mapping[str, Any]:
    """The polygons, taken apart where their sides cross; of many vertices that would take too long."""
    shape = shapely.geometry.shape(geometry)
    if shapely.is_valid(shape):
        return geometry
    if vertices > _MOST_INVALID:
        reason = shapely.is_valid_reason(shape).partition("[")[0].lower()
        raise UnfitRequestError(f"expected polygons whose sides do not cross, found {reason}")
    valid = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    return dict(shapely.geometry.mapping(valid))


def _parts(content: Any) -> list[Any]:
    if isinstance(content, Mapping) and content.get("type") == "FeatureCollection":
        features = content.get("features")
        if not isinstance(features, list):
            raise UnfitRequestError("expected features in the FeatureCollection")
        return features
    return [content]


def _feature(part: Any) -> dict[str, Any]:
    """One polygon with no more than its name."""
    if not isinstance(part, Mapping):
        raise UnfitRequestError("expected GeoJSON polygons")
    geometry: Any = part
    name: Any = None
    if part.get("type") == "Feature":
        geometry, properties = part.get("geometry"), part.get("properties")
        found = properties if isinstance(properties, Mapping) else {}
        name = next(
            (found[key] for key in ("name", "NAME", "Name", "id", "ID") if key in found), part.get("id")
        )
    if not isinstance(geometry, Mapping) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise UnfitRequestError("expected GeoJSON polygons")
    kind, coordinates = geometry["type"], geometry.get("coordinates")
    polygons = coordinates if kind == "MultiPolygon" else [coordinates]
    if not isinstance(polygons, list):
        raise UnfitRequestError("expected coordinates of polygons")
    clean = [_polygon(each) for each in polygons]
    text = _proper(str(name)[:_MOST_NAME]) if isinstance(name, str | int) and str(name).strip() else None
    return {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": clean},
        "properties": {"name": text} if text else {},
    }


def _proper(text: str) -> str:
    """A text that can be written, whatever JSON had in it."""
    return text.encode(errors="replace").decode()


def _polygon(rings: Any) -> list[list[list[float]]]:
    if not isinstance(rings, list) or not rings:
        raise UnfitRequestError("expected rings of coordinates")
    clean = []
    for ring in rings:
        if not isinstance(ring, list) or len(ring) < 4:
            raise UnfitRequestError("expected rings of four positions at least")
        clean.append([_position(each) for each in ring])
    return clean


def _position(given: Any) -> list[float]:
    """Longitude and latitude."""
    if not isinstance(given, list) or not 2 <= len(given) <= 4:
        raise UnfitRequestError("expected positions of longitude and latitude")
    numbers = given[:2]
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers):
        raise UnfitRequestError("expected positions of longitude and latitude")
    lon, lat = numbers
    if not (-180 <= lon <= 360 and -90 <= lat <= 90 and isfinite(lon)):
        raise UnfitRequestError("expected longitudes from -180 to 360 and latitudes from -90 to 90 degrees")
    return [float(lon), float(lat)]


def _rings(geometry: Mapping[str, Any]) -> Iterator[list[list[float]]]:
    for polygon in geometry["coordinates"]:
        yield from polygon


def _square_km(geometry: Mapping[str, Any]) -> float:
    """Of the outer rings, whichever way round."""
    total = 0.0
    for polygon in geometry["coordinates"]:
        lon, lat = zip(*polygon[0], strict=True)
        total += abs(_GEOD.polygon_area_perimeter(lon, lat)[0]) / 1e6
    return total
