"""What a result depends on: code, followed through the imports from the module that makes it; observations.

Imports are read from the source, so nothing is loaded, and none is missed for being made late: those inside
of functions count too, as do modules that a string names (``import_module("ssldm.x")``; all below ``ssldm.x``
for ``f"ssldm.x.{name}"``). Imports for type checking alone do not count. Of a package that is only on the way
to one of its modules, what its ``__init__`` imports when it is loaded counts, but not what it offers to load
later.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import xarray as xr

_PACKAGE = "ssldm"
_MODULE = re.compile(rf"{_PACKAGE}(\.\w+)+\.?")
# Whose results enter forecasts and scores.
_LIBRARIES = ("diffusers", "numpy", "opencv-python-headless", "pysteps", "scikit-image", "scipy", "torch")


def digest(value: object) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def observed_hash(data: xr.DataArray) -> str:
    """A hash of observations ``(time, y, x)``, and of where and when they are."""
    found = hashlib.sha256(data.values.tobytes())
    for axis in sorted({"time", "x", "y"} & set(map(str, data.coords))):
        found.update(data[axis].values.tobytes())
    return found.hexdigest()


@cache
def code_identity(caller: str, *starts: str) -> dict[str, str]:
    """What a result depends on besides its settings: code of this package, and the libraries.

    Args:
        caller: the module that asks for the result; of it only its own code counts.
        starts: modules that make it; they count with all that they import.
    """
    root = Path(str(files(_PACKAGE)))
    paths = followed(starts, root) | {caller: _path(root, caller)}
    return {"code": code_hash(paths), **{name: version(name) for name in _LIBRARIES}}


def code_hash(paths: dict[str, Path]) -> str:
    """A short hash of modules, by their names."""
    found = hashlib.sha256()
    for name, path in sorted(paths.items()):
        found.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def followed(starts: Sequence[str], root: Path) -> dict[str, Path]:
    """Modules and all modules of the package that they import, by name.

    Args:
        starts: names of modules.
        root: folder of the package.

    Raises:
        ModuleNotFoundError: a start that is no module of the package.
    """
    # Whether all that a module imports has been followed, or only what it imports when it is loaded.
    found = dict.fromkeys(starts, True)
    pending = list(found.items())
    while pending:
        name, everything = pending.pop()
        reached = dict.fromkeys(_imports(name, root, everything=everything), True)
        reached = dict.fromkeys(_parents(name), False) | reached
        for target, whole in reached.items():
            if whole > found.get(target, -1):
                found[target] = whole
                pending.append((target, whole))
    return {name: _path(root, name) for name in found}


def _path(root: Path, name: str) -> Path:
    if (path := _find(root, name)) is None:
        raise ModuleNotFoundError(f"{name}: no such module in {root}")
    return path


def _find(root: Path, name: str) -> Path | None:
    package, *parts = name.split(".")
    place = root.joinpath(*parts)
    choices = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in choices if package == _PACKAGE and path.is_file()), None)


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _imports(name: str, root: Path, *, everything: bool) -> set[str]:
    """Modules of the package that a module imports; inside of functions too where ``everything``."""
    path = _path(root, name)
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in _statements(ast.parse(path.read_bytes()), everything=everything):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.add(inner if _find(root, inner) else source)
        elif everything and isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= _named(node.value, root)
    return {target for target in found if _find(root, target)}


def _named(text: str, root: Path) -> set[str]:
    """The module that a string names; all modules below a package where it ends in a point."""
    if not _MODULE.fullmatch(text):
        return set()
    if not text.endswith("."):
        return {text}
    folder = root.joinpath(*text.rstrip(".").split(".")[1:])
    return {text + ".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*.py")}


def _statements(node: ast.AST, *, everything: bool) -> Iterator[ast.AST]:
    """All nodes but those for type checking; not those inside of functions unless ``everything``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).split(".")[-1] == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _statements(other, everything=everything)
        elif everything or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _statements(child, everything=everything)
