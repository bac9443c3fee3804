"""What griffe calls for each docstring of the reference: ``a, b: meaning`` stands for two entries."""

import re
from typing import Any

from griffe import Extension, Object

SHARED = re.compile(
    r"^(?P<indent>    )(?P<names>\w+(?:, \w+)+):(?P<meaning>.*(?:\n(?P=indent) +.*)*)", re.MULTILINE
)


class SharedDocstrings(Extension):
    """Gives each of several arguments, or attributes, that share a meaning an entry of its own."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = SHARED.sub(_each, obj.docstring.value)


def _each(entry: re.Match[str]) -> str:
    return "\n".join(f"{entry['indent']}{name}:{entry['meaning']}" for name in entry["names"].split(", "))
