"""The schema says what the app does: requests made from it are answered as it says."""

import pytest
import schemathesis
import service_stores as stores
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks

from ssldm.service.app import create_app
from ssldm.service.store import Store
from ssldm.service.times import stamp_of

load_all_checks()
LAST = stamp_of(stores.LAST)
# Parts of addresses that lead somewhere, half of the time.
KNOWN = {"domain": stores.DOMAIN, "cycle": LAST, "stamp": LAST, "product": "mean", "lead": "5"}
PLACE = {"lat": 53.3, "lon": 1.9}
BOX = {"type": "Polygon", "coordinates": [[[1.8, 53.2], [2.0, 53.2], [2.0, 53.3], [1.8, 53.2]]]}
# What fits the schema may be refused all the same: tiles beyond the zoom's, areas that are too large or thin.
_NOT_CHECKED = ("positive_data_acceptance", "missing_required_header", "ignored_auth", "use_after_free",
                "ensure_resource_availability")  # fmt: skip
QUIET = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("schema") / "store"))
    frames = stores.frames_of()
    stores.fill(store, frames, stores.forecast_of(frames))
    config = stores.config_of(limits={"requests_a_minute": 0})
    return create_app(config, store, stores.clock_after())


@pytest.fixture(scope="module")
def schema(app):
    return schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path=["/api/events", "/health"])


def answered_as_it_says(schema, examples: int) -> None:
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            suppress_health_check=QUIET, phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip
        def check(case) -> None:
            given_parts = case.path_parameters or {}
            if len(str(given_parts)) % 2:
                given_parts |= {name: KNOWN[name] for name in KNOWN.keys() & given_parts.keys()}
                if case.path.endswith("/point"):
                    case.query |= PLACE
                if case.path.endswith("/area"):
                    case.body = BOX
            excluded = [CHECKS.get_one(name) for name in _NOT_CHECKED]
            case.call_and_validate(excluded_checks=excluded)

        given(case=operation.as_strategy())(check)()


def test_a_few_requests_are_answered_as_the_schema_says(schema):
    answered_as_it_says(schema, 4)


@pytest.mark.slow
def test_many_requests_are_answered_as_the_schema_says(schema):
    answered_as_it_says(schema, 80)
