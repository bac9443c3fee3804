"""Names of maps, as addresses have them, and the fields of a stored forecast that they stand for."""

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.observations import NAME
from ssldm.service.refusals import NotThereError

_NAME = re.compile(
    r"mean|member-(?P<member>\d{1,3})|(?:amount-(?P<period>\d[0-9A-Za-z.]{0,11})-)?"
    r"(?P<kind>quantile|probability)-(?P<value>\d{1,4}(?:\.\d{1,6})?)",
    re.ASCII,
)
_LEAD = re.compile(r"\d{1,5}(?:\.\d{1,4})?", re.ASCII)
# What the store keeps: 0.02 mm/h and 0.005 come back with errors of single precision.
_DECIMALS, _DECIMALS_OF_SHARES = 2, 3


@dataclass(frozen=True)
class Map:
    """Which of the stored fields a name stands for.

    Attributes:
        variable: of the dataset.
        dimension: "member", "quantile" or "threshold"; none of the mean.
        value: along it.
    """

    variable: str
    dimension: str | None = None
    value: float = 0.0

    @property
    def is_probability(self) -> bool:
        """Whether it is drawn as a probability, else as rain."""
        return "probability" in self.variable

    def of(self, forecast: xr.Dataset) -> xr.DataArray:
        """All lead times of it ``(lead_time, y, x)``, not read yet.

        Raises:
            NotThereError: the forecast has none.
        """
        if self.variable not in forecast:
            raise NotThereError("no such product in this forecast")
        values = forecast[self.variable]
        if self.dimension is None:
            return values
        near = np.flatnonzero(np.isclose(values[self.dimension].values.astype(float), self.value, 1e-6))
        if not near.size:
            raise NotThereError("no such product in this forecast")
        chosen: xr.DataArray = values.isel({self.dimension: int(near[0])})
        return chosen


def map_of(name: str) -> Map:
    """The map of a name such as ``mean``, ``member-3`` or ``amount-60min-quantile-0.9``.

    Raises:
        NotThereError: no name of a map.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise NotThereError("no such product")
    if found["member"] is not None:
        return Map(NAME, "member", float(found["member"]))
    if found["kind"] is None:
        return Map("mean_rate")
    dimension = {"quantile": "quantile", "probability": "threshold"}[found["kind"]]
    variable = (
        f"rate_{found['kind']}" if found["period"] is None else f"amount_{found['kind']}_{found['period']}"
    )
    return Map(variable, dimension, float(found["value"]))


def lead_index(forecast: xr.Dataset, minutes: str) -> int:
    """Which lead time a number of minutes is, as addresses have it.

    Raises:
        NotThereError: none.
    """
    leads = forecast["lead_time"].values / np.timedelta64(1, "m")
    near = np.flatnonzero(np.isclose(leads, float(minutes))) if _LEAD.fullmatch(minutes) else np.empty(0)
    if not near.size:
        raise NotThereError("no such lead time in this forecast")
    return int(near[0])


def read(field: xr.DataArray) -> NDArray[np.float32]:
    """Values of a stored field, read and rounded to what is stored."""
    decimals = _DECIMALS_OF_SHARES if "probability" in str(field.name) else _DECIMALS
    return np.round(field.values, decimals).astype(np.float32)
