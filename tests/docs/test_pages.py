"""Examples in the documentation: each piece of Python runs, each piece of settings is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from quell import Observed
from quell.plugins import Lock, list_plugins, load_plugins
from quell.plugins.offers import HOOKS
from quell.settings import Layer, build_settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def plugin_page() -> dict[str, Any]:
    """Run the plugin page's Python from top to bottom, as a reader would."""
    page = DOCS / "how-to" / "write-a-plugin.md"
    names: dict[str, Any] = {"__name__": "switch_plugin"}
    for number, code in enumerate(blocks(page, "python")):
        exec(compile(code, f"{page.name} block {number}", "exec"), names)
    return names


@pytest.mark.anyio
async def test_the_plugin_pages_action_blocks_and_is_seen_to_have(
    plugin_page: dict[str, Any],
) -> None:
    switch, target = plugin_page["Switch"](), plugin_page["target"]
    observe = plugin_page["is_blocked"]

    before = await observe(target, switch)
    await plugin_page["block_port"].call(plugin_page["call"], switch)
    after = await observe(target, switch)

    assert before.state is Observed.NOT_SO
    assert after.state is Observed.SO
    assert after.keys == (plugin_page["call"].key,)


def test_the_plugin_pages_offers_pass_the_examination_of_a_real_plugin(
    plugin_page: dict[str, Any],
) -> None:
    HOOKS["quell_actions"].examine(plugin_page["block_port"])
    (section,) = plugin_page["quell_settings"]()
    HOOKS["quell_settings"].examine(section)


def test_settings_in_the_documentation_are_accepted(tmp_path: Path) -> None:
    import tomllib

    registry = load_plugins(
        Lock(tmp_path / "plugins.lock"), [one for one in list_plugins() if one.is_bundled]
    )
    guid = "6f1d1b46-7ab0-4c0a-9d2f-0b3d6d0f7c11"
    pages = [*(DOCS / "how-to").glob("*.md"), *(DOCS / "tutorial").glob("*.md")]
    texts = [text for page in pages for text in blocks(page, "toml")]

    environ = {name: "x" for text in texts for name in re.findall(r"env:(\w+)", text)}

    assert texts
    for text in texts:
        values = tomllib.loads(text.replace("…", guid))
        build_settings([Layer(values, {})], registry.sections, environ=environ)
