"""Which products of a forecast are asked for, on the command line or in a file."""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from ssldm.config import Config
from ssldm.config_file import read_yaml
from ssldm.errors import ConfigurationError

Format = Literal["nc", "zarr", "cog"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ProductsConfig(Config):
    """Products, places and format.

    Attributes:
        quantiles: probabilities, 0 to 1.
        thresholds: rates in mm/h, and amounts in mm of each period.
        periods: of amounts, such as "60min".
        points: CSV file with columns name, lat and lon (or x and y).
        polygons: catchments in GeoJSON, GeoPackage, ….
        least_covered: share of a catchment that must be forecast, for its mean.
        format: of the maps.
    """

    quantiles: tuple[Share, ...] = (0.1, 0.5, 0.9)
    thresholds: tuple[Annotated[float, Field(gt=0.0)], ...] = (1.0, 5.0, 10.0)
    periods: tuple[str, ...] = ()
    points: Path | None = None
    polygons: Path | None = None
    least_covered: Share = 1.0
    format: Format = "nc"

    def frames(self, step_minutes: float) -> int:
        """Frames of the longest period."""
        return int(self.longest / pd.Timedelta(minutes=step_minutes))

    @property
    def longest(self) -> pd.Timedelta:
        """The longest period: so far back observations are looked at.

        Raises:
            ConfigurationError: a period that is none.
        """
        try:
            return max((pd.Timedelta(period) for period in self.periods), default=pd.Timedelta(0))
        except ValueError as error:
            raise ConfigurationError(f"expected periods such as 60min ({error})") from error


def read_products_config(path: Path) -> ProductsConfig:
    """A configuration in a YAML file; paths in it are relative to the file.

    Raises:
        ConfigurationError: no such file, no YAML, or something else in it.
    """
    config = read_yaml(ProductsConfig, path, "products")
    places = {
        name: path.parent / place for name in ("points", "polygons") if (place := getattr(config, name))
    }
    return config.model_copy(update=places)
