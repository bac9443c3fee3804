"""Small changes to source code that its tests should notice."""

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Less than this only guards divisions and logarithms.
_GUARD = 1e-5
_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip
_OTHER_WAY = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
_PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("nanmin", "nanmax"), ("amin", "amax"), ("any", "all"),
    ("floor", "ceil"), ("argmin", "argmax"), ("clamp_min", "clamp_max"), ("mean", "sum"), ("sin", "cos"),
    ("zeros", "ones"), ("zeros_like", "ones_like"),
)  # fmt: skip
_NAMES = dict(_PAIRS) | {second: first for first, second in _PAIRS}
_LEFT_OUT = {
    "abs", "clamp", "clip", "sqrt", "square", "exp", "log", "round", "sorted", "flip", "copy", "fillna",
    "upper",
}  # fmt: skip
# Types, messages, checks of types and of our own mistakes, and devices: tests run on a CPU.
_SKIPPED = ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert
_SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "type_params"}
_SKIPPED_CALLS = {"warn", "cast", "TypeVar", "isinstance", "Literal"}
_SKIPPED_KEYWORDS = {
    "strict",
    "stacklevel",
    "description",
    "ge",
    "le",
    "gt",
    "lt",
    "kw_only",
    "device",
    "map_location",
}


@dataclass(frozen=True)
class Mutant:
    """A changed file.

    Attributes:
        file: relative to the folder of the sources.
        line, last: lines of the statement, the first of which tests reach where they run it.
        imported: whether it runs at import alone.
        code: the line that changes.
        change: what becomes what.
        source: of the whole file, changed.
    """

    file: str
    line: int
    last: int
    imported: bool
    code: str
    change: str
    source: str


@dataclass(frozen=True)
class _Candidate:
    node: ast.AST
    replacement: ast.AST
    statement: ast.stmt
    imported: bool


def draw(folder: Path, files: list[str], count: int, seed: int) -> list[Mutant]:
    """Mutants of so many lines, each line with something to change as likely as any other."""
    lines = []
    for file in files:
        found: dict[int, list[int]] = {}
        for number, candidate in enumerate(_candidates(ast.parse((folder / file).read_text()))):
            found.setdefault(getattr(candidate.node, "lineno", candidate.statement.lineno), []).append(number)
        lines += [(file, line, numbers) for line, numbers in sorted(found.items())]
    generator = random.Random(seed)  # noqa: S311
    drawn = sorted(generator.sample(lines, min(count, len(lines))))
    return [_mutant(folder, file, line, generator.choice(numbers)) for file, line, numbers in drawn]


def _mutant(folder: Path, file: str, line: int, number: int) -> Mutant:
    source = (folder / file).read_text()
    tree = ast.parse(source)
    made = list(_candidates(tree))[number]
    change = " → ".join(ast.unparse(node).split("\n")[0] for node in (made.node, made.replacement))

    class Change(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return made.replacement if node is made.node else self.generic_visit(node)

    changed = ast.unparse(ast.fix_missing_locations(Change().visit(tree)))
    body = getattr(made.statement, "body", None)
    last = max(body[0].lineno - 1, made.statement.lineno) if body else made.statement.end_lineno or line
    return Mutant(
        file,
        made.statement.lineno,
        last,
        made.imported,
        source.splitlines()[line - 1].strip(),
        change,
        changed,
    )


def _candidates(tree: ast.Module) -> Iterator[_Candidate]:
    return _within(tree, ast.Pass(), imported=True)


def _within(node: ast.AST, statement: ast.stmt, *, imported: bool) -> Iterator[_Candidate]:
    if isinstance(node, _SKIPPED) or (isinstance(node, ast.Call) and _name(node.func) in _SKIPPED_CALLS):
        return
    if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.stmt):
        statement = node
    for replacement in _replacements(node, imported=imported):
        yield _Candidate(node, replacement, statement, imported)
    for field, value in ast.iter_fields(node):
        inside = imported and not (isinstance(node, ast.FunctionDef) and field == "body")
        for child in value if isinstance(value, list) else [value]:
            kept = not isinstance(child, ast.keyword) or child.arg not in _SKIPPED_KEYWORDS
            if isinstance(child, ast.AST) and field not in _SKIPPED_FIELDS and kept:
                yield from _within(child, statement, imported=inside)


def _name(function: ast.AST) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _replacements(node: ast.AST, *, imported: bool) -> Iterator[ast.AST]:  # noqa: C901, PLR0912
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float() as value) if value == 0.0 or abs(value) >= _GUARD:
            yield ast.Constant(1.6 * value or 1.0)
        case ast.BinOp(op=ast.BitOr()) if imported:
            return  # of types
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield _with(node, op=_OPERATORS[type(node.op)]())
        case ast.AugAssign() if type(node.op) in _OPERATORS:
            yield _with(node, op=_OPERATORS[type(node.op)]())
            yield ast.Pass()
        case ast.BoolOp():
            yield _with(node, op=_OPERATORS[type(node.op)]())
            for number in range(len(node.values)):
                yield _with(node, values=node.values[:number] + node.values[number + 1 :])
        case ast.Compare(ops=[first, *rest]):
            for table in (_OPERATORS, _OTHER_WAY):
                if type(first) in table:
                    yield _with(node, ops=[table[type(first)](), *rest])
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield node.operand
        case ast.If() | ast.IfExp() | ast.While():
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension(ifs=[_, *_]):
            yield _with(node, ifs=[])
        case ast.Slice():
            for bound in ("lower", "upper"):
                if getattr(node, bound):
                    yield _with(node, **{bound: ast.BinOp(getattr(node, bound), ast.Add(), ast.Constant(1))})
        case ast.Break() | ast.Continue():
            yield _OPERATORS[type(node)]()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Call():
            yield from _other_calls(node)


def _other_calls(node: ast.Call) -> Iterator[ast.AST]:
    name, function = _name(node.func), node.func
    for number, keyword in enumerate(node.keywords):
        if keyword.arg and keyword.arg not in _SKIPPED_KEYWORDS:
            yield _with(node, keywords=node.keywords[:number] + node.keywords[number + 1 :])
    if name in _NAMES:
        field = "attr" if isinstance(function, ast.Attribute) else "id"
        yield _with(node, func=_with(function, **{field: _NAMES[name]}))
    if name in _LEFT_OUT:
        module = isinstance(function, ast.Name) or _name(function.value) in {"np", "torch", "math"}
        yield node.args[0] if module else function.value


def _with(node: ast.AST, **changed: object) -> ast.AST:
    return type(node)(**{**dict(ast.iter_fields(node)), **changed})
