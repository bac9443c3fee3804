"""A store with a simulated domain, and clients of an app that reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import service_stores as stores
import xarray as xr
from fastapi.testclient import TestClient

from ssldm.service.app import create_app
from ssldm.service.store import Store


@pytest.fixture(scope="session")
def frames() -> xr.DataArray:
    return stores.frames_of()


@pytest.fixture(scope="session")
def forecast(frames: xr.DataArray) -> xr.Dataset:
    return stores.forecast_of(frames)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, frames: xr.DataArray, forecast: xr.Dataset) -> Store:
    """To read only."""
    return stores.fill(Store(str(tmp_path_factory.mktemp("service") / "store")), frames, forecast)


@pytest.fixture
def own_store(tmp_path: Path, frames: xr.DataArray, forecast: xr.Dataset) -> Store:
    """To change."""
    return stores.fill(Store(str(tmp_path / "store")), frames, forecast)


@pytest.fixture
def client_of() -> Iterator[Callable[..., TestClient]]:
    """A client of a store, with changes of the configuration."""

    def make(store: Store, minutes: float = 1.0, **changes: Any) -> TestClient:
        app = create_app(stores.config_of(**changes), store, stores.clock_after(minutes))
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture
def client(store: Store, client_of: Callable[..., TestClient]) -> TestClient:
    return client_of(store)
