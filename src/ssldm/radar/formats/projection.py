"""What the coordinates of a projection are: latitudes and longitudes, or lengths in a plane."""

from functools import lru_cache
from typing import Any

from ssldm.errors import ObservationError

# No composite has smaller pixels: what comes out smaller is counted in kilometres.
LEAST_PIXEL_METRES = 20.0
# PROJ's own names, for texts that begin with no WKT.
_KILOMETRES = ("+units=km", "+to_meter=1000")


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
    """A map projection in metres, and how many metres a unit of its coordinates is.

    Raises:
        ObservationError: neither metres nor kilometres, or kilometres in other words than PROJ's.
    """
    factors = {axis.unit_conversion_factor for axis in _horizontal(projection).axis_info}
    if factors == {1.0}:
        return projection, 1.0
    metric = projection
    for kilometres in _KILOMETRES:
        metric = metric.replace(kilometres, "+units=m")
    if factors != {1000.0} or metric == projection:
        raise ObservationError(f"expected a projection in metres or kilometres, found {projection[:100]}")
    return metric, 1000.0


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
