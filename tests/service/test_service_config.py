import numpy as np
import pytest

from ssldm.config_file import parsed
from ssldm.errors import ConfigurationError
from ssldm.service.config import ServiceConfig, read_service_config

DOMAIN = {"name": "nl", "watch": ["radar"]}
RULE = {"name": "town", "lat": 52.0, "lon": 5.0, "threshold": 5.0, "probability": 0.5}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "domains: expected a value"),
        ({"domains": []}, "domains: expected at least 1"),
        ({"domains": [DOMAIN, DOMAIN]}, "different names, found nl, nl"),
        ({"domains": [DOMAIN | {"name": "../x"}]}, "domains.0.name"),
        ({"domains": [DOMAIN | {"watch": []}]}, "domains.0.watch: expected at least 1"),
        ({"domains": [DOMAIN | {"alarms": [RULE, RULE]}]}, "alarms of different names, found town, town"),
        ({"domains": [DOMAIN], "keep": "30min"}, "expected keep of at least catch_up"),
        ({"domains": [DOMAIN | {"members": 3}]}, "domains.0.members"),
        ({"domains": [DOMAIN], "budget": "soon"}, "budget: expected a duration such as 120s"),
        ({"domains": [DOMAIN], "keep": "-1h"}, "keep: expected a duration above 0"),
        ({"domains": [DOMAIN], "budgt": "60s"}, "did you mean budget?"),
        ({"domains": [DOMAIN], "replay": {"start": "long ago"}}, "expected a time like"),
        ({"domains": [DOMAIN], "base": {"tiles": "file:///etc", "attribution": ""}}, "base.tiles"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(keys, told):
    with pytest.raises(ConfigurationError, match=told.replace("?", r"\?")) as error:
        parsed(ServiceConfig, keys)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "place", [{}, {"lat": 52.0}, {"lat": 52.0, "lon": 5.0, "area": "a.geojson"}, {"lat": np.inf, "lon": 5.0}]
)
def test_an_alarm_is_for_one_kind_of_place(place):
    rule = {"name": "town", "threshold": 5.0, "probability": 0.5} | place
    with pytest.raises(ConfigurationError):
        parsed(ServiceConfig, {"domains": [DOMAIN | {"alarms": [rule]}]})


def test_files_are_beside_the_configuration(tmp_path):
    path = tmp_path / "service.yaml"
    path.write_text(
        "domains:\n"
        "  - name: nl\n"
        "    watch: [radar, 's3://bucket/*.h5', /data/radar]\n"
        "    alarms: [{name: basin, area: basin.geojson, threshold: 5, probability: 0.5}]\n"
    )
    config = read_service_config(path)
    (domain,) = config.domains
    assert domain.watch == (str(tmp_path / "radar"), "s3://bucket/*.h5", "/data/radar")
    assert domain.alarms[0].area == tmp_path / "basin.geojson"
    assert config.store == str(tmp_path / "store")


def test_no_yaml_is_told_with_its_file(tmp_path):
    path = tmp_path / "service.yaml"
    path.write_text("domains: [")
    with pytest.raises(ConfigurationError, match=r"service.yaml: expected a service in YAML"):
        read_service_config(path)
