"""Catchments and other areas, from files or as shapes, in the projection of a nowcast."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
import shapely.geometry
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError
from ssldm.products.grid import PixelGrid

_DEGREES = "EPSG:4326"
# A straight line of a file may be bent on the map: it is cut into this many parts at least.
_PARTS = 32
_NAMES = ("name", "NAME", "Name", "id", "ID")


@dataclass(frozen=True)
class Area:
    """A named shape in metres of the nowcast's projection."""

    name: str
    shape: shapely.Geometry


def areas_of(polygons: Any, grid: PixelGrid, *, crs: Any = None, names: str | None = None) -> list[Area]:
    """Areas in the projection of a grid.

    Args:
        polygons: a GeoJSON file or its content as a mapping, a GeoPackage (or what else GDAL reads, with
            pyogrio), a GeoDataFrame, a shapely polygon, several of these, or a mapping of names to
            shapely polygons.
        grid: of the nowcast.
        crs: of the polygons. Where None: that of a file or GeoDataFrame that says so, else longitude and
            latitude (WGS 84).
        names: property that names them; where None "name" or "id" if there is one, else they are numbered
            from 1.

    Raises:
        ConfigurationError: what is no polygon, has no area, or cannot be read.
    """
    found, own = _shapes(polygons, names)
    if not found:
        raise ConfigurationError("expected polygons, found none")
    counts: dict[str, int] = {}
    to_grid = _into(grid, crs if crs is not None else own if own is not None else _DEGREES)
    areas = []
    for number, (name, shape) in enumerate(found, start=1):
        text = str(number) if name is None else name
        if not isinstance(shape, shapely.Polygon | shapely.MultiPolygon) or shape.is_empty:
            raise ConfigurationError(
                f"expected polygons, found {getattr(shape, 'geom_type', shape)!r:.80} as {text!r}"
            )
        there = shapely.make_valid(to_grid(shape))
        if not np.isfinite(there.area) or there.area <= 0.0:
            raise ConfigurationError(
                f"expected polygons with an area on the nowcast's map, found none in {text!r}"
            )
        counts[text] = counts.get(text, 0) + 1
        areas.append(Area(text, there))
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ConfigurationError(f"expected polygons with different names, found {twice[0]!r} more than once")
    return areas


def _into(grid: PixelGrid, crs: Any) -> Any:
    transformer = grid.transformer_from(crs)
    if grid.crs is not None and pyproj.CRS.from_user_input(crs) == grid.crs:
        return lambda shape: shape

    def project(shape: shapely.Geometry) -> shapely.Geometry:
        west, south, east, north = shape.bounds
        fine = shapely.segmentize(shape, max(east - west, north - south) / _PARTS)

        def moved(places: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(transformer.transform(*places.T), axis=-1)

        return shapely.transform(fine, moved)

    return project


def _shapes(polygons: Any, names: str | None) -> tuple[list[tuple[str | None, Any]], Any]:
    """Names, where there are any, and shapes; and their projection where it is known."""
    if isinstance(polygons, str | PathLike):
        return _of_file(Path(polygons), names)
    if hasattr(polygons, "geometry") and hasattr(polygons, "crs"):
        return _of_frame(polygons, names)
    if isinstance(polygons, shapely.Geometry):
        return [(None, polygons)], None
    if isinstance(polygons, Mapping):
        if "type" in polygons:
            return _of_geojson(polygons, names)
        return [(str(name), shape) for name, shape in polygons.items()], None
    if isinstance(polygons, Iterable):
        return [(None, shape) for shape in polygons], None
    raise ConfigurationError(f"expected polygons, found {type(polygons).__name__}")


def _of_file(path: Path, names: str | None) -> tuple[list[tuple[str | None, Any]], Any]:
    if not path.exists():
        raise ConfigurationError(f"expected a file of polygons, found none at {path}")
    if path.suffix.lower() in (".geojson", ".json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ConfigurationError(f"{path}: expected GeoJSON ({str(error).splitlines()[0]})") from error
        if not isinstance(content, Mapping):
            raise ConfigurationError(f"{path}: expected GeoJSON, found {type(content).__name__}")
        return _of_geojson(content, names, str(path))
    try:
        import pyogrio
    except ImportError as error:
        raise ConfigurationError(
            f"{path}: expected GeoJSON; other formats need pyogrio (pip install 'ssldm[polygons]')"
        ) from error
    try:
        information, _, shapes, fields = pyogrio.raw.read(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ConfigurationError(f"{path}: expected polygons ({str(error).splitlines()[0]})") from error
    named = _named(
        {name: list(values) for name, values in zip(information["fields"], fields, strict=True)}, names
    )
    return _together(named, shapely.from_wkb(shapes)), information["crs"]


def _of_frame(frame: Any, names: str | None) -> tuple[list[tuple[str | None, Any]], Any]:
    columns = {str(name): list(frame[name]) for name in frame.columns if name != frame.geometry.name}
    named = _named(columns, names)
    return _together(named or [str(each) for each in frame.index], frame.geometry), frame.crs


def _of_geojson(
    content: Mapping[str, Any], names: str | None, where: str = "GeoJSON"
) -> tuple[list[tuple[str | None, Any]], Any]:
    features = content.get("features", [content])
    try:
        shapes = [
            shapely.geometry.shape(feature["geometry"] if feature.get("type") == "Feature" else feature)
            for feature in features
        ]
        properties = [
            {"id": feature.get("id"), **(feature.get("properties") or {})}
            if feature.get("type") == "Feature"
            else {}
            for feature in features
        ]
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise ConfigurationError(
            f"{where}: expected GeoJSON polygons ({str(error).splitlines()[0]})"
        ) from error
    known = {name for each in properties for name in each}
    named = _named({name: [each.get(name) for each in properties] for name in known}, names)
    own = (content.get("crs") or {}).get("properties", {}).get("name")
    return _together(named, shapes), own


def _together(named: list[str] | None, shapes: Sequence[Any]) -> list[tuple[str | None, Any]]:
    return [(named[number] if named else None, shape) for number, shape in enumerate(shapes)]


def _named(properties: Mapping[str, Sequence[Any]], asked: str | None) -> list[str] | None:
    """The names of all polygons, by the property asked for or one that is usual; None without."""
    if asked is not None and asked not in properties:
        listed = ", ".join(sorted(properties)) or "none"
        raise ConfigurationError(f"expected a property {asked!r} of polygons, found {listed}")
    for name in (asked,) if asked is not None else _NAMES:
        values = properties.get(name, [])
        if len(values) and all(value is not None and value == value for value in values):  # noqa: PLR0124
            return [str(value) for value in values]
    if asked is not None:
        raise ConfigurationError(f"expected polygons that all have {asked!r}")
    return None
