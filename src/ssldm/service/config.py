"""What a service watches, forecasts and offers: the keys of its configuration file."""

from pathlib import Path
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from ssldm.config import Config
from ssldm.config_file import read_yaml

Positive = Annotated[float, Field(gt=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


def _duration(text: str) -> str:
    """such as 120s or 1h"""  # noqa: D403  # the words of the reference
    try:
        length = pd.Timedelta(text)
    except ValueError as error:
        raise ValueError(f"expected a duration such as 120s or 1h, found {text!r}") from error
    if not length > pd.Timedelta(0):
        raise ValueError(f"expected a duration above 0, found {text!r}")
    return text


Duration = Annotated[str, AfterValidator(_duration)]


class AlarmRule(Config):
    """When to raise an alarm: at one place or over one area, as soon as rain is probable enough.

    Attributes:
        name: of the rule.
        lat, lon: of a place, in degrees.
        area: a file with one polygon, in place of these; the mean over it counts.
        threshold: in mm/h, or in mm of the period.
        period: such as "60min": the amount counts, else the rate.
        probability: the least, 0 to 1, of any lead time.
        webhook: an address that alarms are posted to as JSON; else they are in the log and in the store.
    """

    name: Name
    lat: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    lon: Annotated[float, Field(ge=-180.0, le=360.0)] | None = None
    area: Path | None = None
    threshold: Positive
    period: Duration | None = None
    probability: Annotated[float, Field(gt=0.0, le=1.0)]
    webhook: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None

    @model_validator(mode="after")
    def _one_kind_of_place(self) -> Self:
        if (self.lat is None) != (self.lon is None) or (self.lat is None) == (self.area is None):
            raise ValueError("expected lat and lon, or area")
        return self


class DomainConfig(Config):
    """One radar product, and the forecasts from it.

    Attributes:
        name: in addresses.
        title: on the page; the name where empty.
        watch: paths, patterns, folders or URLs of its files, as `ssldm.open_radar` takes them.
        format, zr, max_rate: see `ssldm.open_radar`.
        model: name, folder or hub identifier of the weights.
        members: of a forecast that has its time.
        lead_time: such as "80min"; the model's own where None.
        seed: of the ensembles.
        alarms: rules.
    """

    name: Name
    title: str = ""
    watch: Annotated[tuple[str, ...], Field(min_length=1)]
    format: str | None = None
    zr: tuple[Positive, Positive] | None = None
    max_rate: Positive = 1000.0
    model: str = "small"
    members: Annotated[int, Field(ge=4, le=200)] = 20
    lead_time: Duration | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    alarms: tuple[AlarmRule, ...] = ()

    @model_validator(mode="after")
    def _rules_differ(self) -> Self:
        names = [rule.name for rule in self.alarms]
        if len(set(names)) < len(names):
            raise ValueError(f"expected alarms of different names, found {', '.join(names)}")
        return self


class Replay(Config):
    """Files of the past, taken as if they came in now.

    Attributes:
        start: time (UTC) at which the service first starts.
        speed: hours of the past in an hour.
    """

    start: str
    speed: Positive = 60.0

    @model_validator(mode="after")
    def _a_time(self) -> Self:
        try:
            np.datetime64(self.start, "s")
        except ValueError as error:
            raise ValueError(f"expected a time like 2010-08-26T03:30, found {self.start!r}") from error
        return self


class Limits(Config):
    """What one request, and one client, may ask for.

    Attributes:
        area_km2: of all polygons of a request.
        vertices: of these.
        body_bytes: of a request.
        seconds: that an answer may take.
        requests_a_minute: of one client, but this machine; 0 is no limit.
        connections: at once, of all clients.
        streams: of server-sent events at once.
    """

    area_km2: Positive = 500_000.0
    vertices: Annotated[int, Field(ge=4)] = 5000
    body_bytes: Annotated[int, Field(ge=1000)] = 500_000
    seconds: Positive = 20.0
    requests_a_minute: Annotated[int, Field(ge=0)] = 6000
    connections: Annotated[int, Field(ge=1)] = 500
    streams: Annotated[int, Field(ge=1)] = 200


class Base(Config):
    """A map of others under the rain, in place of the one that comes in the package.

    Attributes:
        tiles: address with {z}, {x} and {y}.
        attribution: that its owner asks for.
    """

    tiles: Annotated[str, Field(pattern=r"^https?://\S+$")]
    attribution: str


class ServiceConfig(Config):
    """A service.

    Attributes:
        domains: what is watched and forecast.
        store: folder, or any URL that fsspec writes to.
        budget: from the arrival of a frame to its forecast; what would take longer is made smaller.
        keep: how long frames and forecasts stay in the store.
        catch_up: frames this much older than the newest are still forecast from, after a pause.
        poll: between looks at the files.
        stale: age of the newest forecast's frame from which on the service is not healthy.
        calibrate: whether probabilities of rates are corrected by what came of the last hours' forecasts.
        thresholds, periods, quantiles: of the maps, as `ssldm.products_config.ProductsConfig`.
        replay: times of the past to play, for trials and training.
        origins: of other sites whose pages may read answers; none where empty.
        base: another map under the rain.
        limits: of requests.
    """

    domains: Annotated[tuple[DomainConfig, ...], Field(min_length=1)]
    store: str = "store"
    budget: Duration = "120s"
    keep: Duration = "6h"
    catch_up: Duration = "1h"
    poll: Duration = "5s"
    stale: Duration = "20min"
    calibrate: bool = False
    thresholds: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 2.0, 5.0, 10.0)
    periods: tuple[Duration, ...] = ("60min",)
    quantiles: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.1, 0.5, 0.9)
    replay: Replay | None = None
    origins: tuple[str, ...] = ()
    base: Base | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [domain.name for domain in self.domains]
        if len(set(names)) < len(names):
            raise ValueError(f"expected domains of different names, found {', '.join(names)}")
        if pd.Timedelta(self.keep) < pd.Timedelta(self.catch_up):
            raise ValueError(f"expected keep of at least catch_up, found {self.keep} and {self.catch_up}")
        return self

    def domain(self, name: str) -> DomainConfig | None:
        """The domain of a name."""
        return next((domain for domain in self.domains if domain.name == name), None)


def read_service_config(path: Path) -> ServiceConfig:
    """A configuration in a YAML file; files that it names are relative to it.

    Raises:
        ConfigurationError: no such file, no YAML, or something else in it.
    """
    config = read_yaml(ServiceConfig, path, "a service")
    folder = path.parent
    domains = tuple(
        domain.model_copy(
            update={
                "watch": tuple(_beside(folder, each) for each in domain.watch),
                "alarms": tuple(
                    rule if rule.area is None else rule.model_copy(update={"area": folder / rule.area})
                    for rule in domain.alarms
                ),
            }
        )
        for domain in config.domains
    )
    return config.model_copy(update={"domains": domains, "store": _beside(folder, config.store)})


def _beside(folder: Path, place: str) -> str:
    return place if "://" in place else str(folder / place)
