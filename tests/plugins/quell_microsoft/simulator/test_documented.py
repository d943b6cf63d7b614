"""The simulator's page names every knob, route and fault, and the simulator stands alone."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import pytest

import quell_microsoft.simulator
from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.routes import all_operations
from quell_microsoft.simulator.state.faults import KINDS, FaultRule
from quell_microsoft.simulator.wire import Api

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "explanation" / "simulator.md").read_text(encoding="utf-8")
PACKAGE = Path(quell_microsoft.simulator.__file__).parent


@pytest.mark.parametrize("knob", [field.name for field in msgspec.structs.fields(SimulatorConfig)])
def test_every_knob_is_documented(knob: str) -> None:
    assert f"`{knob}`" in PAGE


def test_every_fault_and_every_field_of_a_rule_is_documented() -> None:
    # given
    fields = {field.name for field in msgspec.structs.fields(FaultRule)}

    # then
    assert [kind for kind in sorted(KINDS) if kind not in PAGE] == []
    assert [name for name in sorted(fields) if f"`{name}`" not in PAGE] == []


def test_every_control_route_is_documented() -> None:
    # when
    roots = {
        "/" + operation.template.removeprefix("/_simulator/").partition("/")[0]
        for operation in all_operations()
        if operation.api is Api.CONTROL
    }

    # then
    assert [root for root in sorted(roots) if root not in PAGE] == []


def test_the_tenant_imports_nothing_of_quell() -> None:
    # when
    imported: set[str] = set()
    # `control.py` is no part of the tenant: it is quell's own seat in front of it
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "control.py"}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module))

    # then
    own = {name for name in imported if name.startswith("quell")}
    assert [name for name in sorted(own) if not name.startswith("quell_microsoft.simulator")] == []
