"""What the coordinates of a projection are: latitudes and longitudes, or lengths in a plane."""

from functools import lru_cache
from typing import Any

from ssldm.errors import ObservationError

# No composite has smaller pixels: what comes out smaller is an index, or counted in kilometres.
LEAST_PIXEL_METRES = 20.0


@lru_cache(maxsize=8)
def is_geographic(projection: str) -> bool:
    """Whether coordinates are latitudes and longitudes; else they are those of a map.

    Args:
        projection: PROJ or WKT.

    Raises:
        ObservationError: neither, such as a rotated grid, heights, or positions from the centre of the Earth.
    """
    crs = _horizontal(projection)
    if not (crs.is_geographic or crs.is_projected) or (crs.is_geographic and crs.is_derived):
        rotated = " (a rotated grid)" if crs.is_geographic else ""
        raise ObservationError(
            "expected a map projection, or latitudes and longitudes, "
            f"found {crs.type_name}{rotated}: {projection[:100]}"
        )
    return bool(crs.is_geographic)


@lru_cache(maxsize=8)
def in_metres(projection: str) -> tuple[str, float]:
    """A map projection with coordinates in metres, as all are here, and how many metres a unit was.

    Args:
        projection: PROJ or WKT; it stays as it is where its unit is the metre.

    Raises:
        ObservationError: no projection, or axes of different units.
    """
    from pyproj import CRS

    crs = _horizontal(projection)
    factors = {float(axis.unit_conversion_factor) for axis in crs.axis_info}
    if factors == {1.0}:
        return projection, 1.0
    if len(factors) != 1 or not crs.is_projected:
        raise ObservationError(f"expected a map projection, found {crs.type_name}: {projection[:100]}")
    description = crs.to_json_dict()
    for axis in description["coordinate_system"]["axis"]:
        axis["unit"] = "metre"
    description.pop("id", None)
    return str(CRS.from_json_dict(description).to_wkt()), factors.pop()


def _horizontal(projection: str) -> Any:
    """The coordinate reference system, without heights and shifts of the datum."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs: Any = CRS.from_user_input(projection)
    except CRSError as error:
        raise ObservationError(f"expected a projection, found {projection[:100]!r}") from error
    while crs.is_bound or crs.is_compound:
        crs = crs.source_crs if crs.is_bound else crs.sub_crs_list[0]
    return crs
