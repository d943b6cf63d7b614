"""Small wrong changes of a module's code, one at a time: a test must notice each of them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants"]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Mult: ast.Add,
}
SWAPPED = {"any": "all", "all": "any", "max": "min", "min": "max"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One function with one wrong change."""

    function: str
    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Give every changed form of the functions of a module, whole modules each."""
    tree = ast.parse(source)
    for place, function in _functions(tree):
        said = _annotations(function)
        for number, node in enumerate(ast.walk(function)):
            if node in said:
                continue
            for name, change in _changes(node):
                changed = copy.deepcopy(tree)
                target = _nth(_at(changed, place), number)
                change(target)
                text = ast.unparse(ast.fix_missing_locations(changed))
                line = getattr(node, "lineno", function.lineno)
                yield Mutant(function.name, line, name, text)


def _functions(tree: ast.Module) -> Iterator[tuple[int, ast.FunctionDef]]:
    for place, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            yield place, node


def _annotations(function: ast.FunctionDef) -> set[ast.AST]:
    """List what only tells of types: changing it changes nothing."""
    arguments = [*function.args.args, *function.args.kwonlyargs]
    told = [one.annotation for one in arguments] + [function.returns]
    told += [node.annotation for node in ast.walk(function) if isinstance(node, ast.AnnAssign)]
    return {node for one in told if one is not None for node in ast.walk(one)}


def _at(tree: ast.Module, place: int) -> ast.AST:
    return tree.body[place]


def _nth(function: ast.AST, number: int) -> ast.AST:
    return next(node for at, node in enumerate(ast.walk(function)) if at == number)


Change = Callable[[ast.AST], None]


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """List what can be made wrong about one node."""
    if isinstance(node, ast.Compare):
        other = COMPARISONS.get(type(node.ops[0]))
        if other is not None:
            yield f"{_short(node)}: {other.__name__}", _set("ops", lambda: [other()])
    elif isinstance(node, ast.BoolOp):
        turned = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{_short(node)}: {turned.__name__}", _set("op", turned)
        for left_out in range(len(node.values)):
            yield f"{_short(node)}: without part {left_out + 1}", _drop("values", left_out)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"{_short(node)}: without not", _set("op", ast.UAdd)
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        operator = OPERATORS[type(node.op)]
        yield f"{_short(node)}: {operator.__name__}", _set("op", operator)
    else:
        yield from _other_changes(node)


def _other_changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} turned", _set("value", lambda: not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield f"{node.value} and one", _set("value", lambda: _number(node.value) + 1)
    elif isinstance(node, ast.Return) and node.value and not _is_nothing(node.value):
        yield f"{_short(node)}: None", _set("value", lambda: ast.Constant(None))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in SWAPPED:
            name = SWAPPED[node.func.id]
            yield f"{_short(node)}: {name}", _set("func", lambda: ast.Name(name, ast.Load()))
        for place, keyword in enumerate(node.keywords):
            if keyword.arg is not None and node.func.id not in {"new_write"}:
                yield f"{_short(node)}: without {keyword.arg}", _drop("keywords", place)
    elif isinstance(node, ast.Continue):
        yield "continue: break", _become(ast.Break)
    elif isinstance(node, ast.comprehension):
        for place in range(len(node.ifs)):
            yield f"a filter less: {_short(node.ifs[place])}", _drop("ifs", place)
    elif isinstance(node, (ast.Assign, ast.AugAssign)) and isinstance(node.value, ast.Call):
        if isinstance(node, ast.AugAssign):
            yield f"{_short(node)}: left out", _become(ast.Pass)
    elif isinstance(node, ast.If):
        yield f"if {_short(node.test)}: always", _set("test", lambda: ast.Constant(True))
        yield f"if {_short(node.test)}: never", _set("test", lambda: ast.Constant(False))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _is_nothing(node: ast.AST) -> bool:
    """Tell whether a value decides the same as None would."""
    return isinstance(node, ast.Constant) and not node.value


def _set(name: str, value: Callable[[], object]) -> Change:
    return lambda node: setattr(node, name, value())


def _drop(name: str, place: int) -> Change:
    return lambda node: getattr(node, name).__delitem__(place)


def _become(kind: type[ast.AST]) -> Change:
    def change(node: ast.AST) -> None:
        node.__class__ = kind  # a node becomes one of another kind

    return change


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
