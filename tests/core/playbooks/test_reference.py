"""docs/reference/playbook-language.md says what the language is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from quell.playbooks import Catalogue, load_playbook, playbook_schema
from quell.playbooks.functions import FUNCTIONS, MACROS, METHODS
from quell.playbooks.vocabulary import ENUMS, RESULT_LISTS, incident_type

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "playbook-language.md"


def keys_of(schema: dict[str, Any]) -> set[str]:
    """List every key that the schema names, at any depth."""
    properties: dict[str, Any] = schema.get("properties", {})
    parts: list[dict[str, Any]] = [*properties.values(), *schema.get("$defs", {}).values()]
    return set(properties).union(*(keys_of(part) for part in parts))


def test_every_example_on_the_page_loads(catalogue: Catalogue) -> None:
    # given
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.S)

    # when / then
    assert examples
    for number, text in enumerate(examples):
        load_playbook(text, name=f"example {number}", catalogue=catalogue)


def test_every_key_function_list_constant_and_field_is_on_the_page() -> None:
    # given
    words = set(re.findall(r"[A-Za-z_]+", PAGE.read_text("utf-8")))

    # when
    known = {
        *keys_of(playbook_schema()),
        *FUNCTIONS,
        *METHODS,
        *MACROS,
        *RESULT_LISTS,
        *(enum.name for enum in ENUMS),
        *incident_type().fields,
        *playbook_schema()["$defs"]["event"]["enum"],
    }

    # then
    assert known - words == set()
