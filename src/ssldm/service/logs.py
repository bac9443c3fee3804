"""Structured logs: one JSON object a line, on standard error."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# Users, passwords and values of queries in addresses, such as those of signed ones.
_SECRETS = re.compile(r'(?<=://)[^/\\\s"@]+(?=@)|(?<=[?&])([^=&\\\s"]+=)[^&\\\s"]+')


class JsonLines(logging.Formatter):
    """Time, level, logger and message, what a record says beside, and the traceback of an error.

    What is secret in addresses is left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _SECRETS.sub(lambda found: f"{found[1] or ''}…", json.dumps(line, default=str))


def log_to_stderr(level: str) -> None:
    """Log in this form from a level on, such as "info"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
