import json
import logging

import pytest

from ssldm.service.logs import JsonLines


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/a.h5?key=abc&sig=d%2Fe", "https://host/a.h5?key=…&sig=…"),
        ("s3://name:word@host/radar", "s3://…@host/radar"),
        ("https://token@host/a?b=1", "https://…@host/a?b=…"),
        ("https://host/a?", "https://host/a?"),
        ("/data/a@b.h5", "/data/a@b.h5"),
    ],
)
def test_what_is_secret_in_an_address_is_left_out(address, shown):
    record = logging.LogRecord("a", logging.WARNING, "", 0, "%s: cannot be read", (f'"{address}"',), None)
    record.file = address
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["file"]) == (f'"{shown}": cannot be read', shown)


def test_what_is_secret_in_an_address_is_left_out_of_tracebacks():
    error = OSError("https://host/a?key=abc")
    record = logging.LogRecord("a", logging.ERROR, "", 0, "failed", (), (type(error), error, None))
    assert "abc" not in JsonLines().format(record)
