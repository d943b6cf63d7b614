"""`quell plugins`: what is installed and what is wrong with it."""

from __future__ import annotations

from quell.cli.outcome import ExitCode
from quell.testing import write_distribution

from .conftest import Shell

GREETER = (
    "from quell import hookimpl, Check\n"
    "async def run(context): return []\n"
    "@hookimpl\ndef quell_checks(): return [Check(name='greeting', run=run)]\n"
)


def lay_out(quell: Shell, name: str, source: str) -> None:
    write_distribution(
        quell.folder.parent / "site",
        {f"{name}.py": source},
        name=f"quell-{name}",
        plugins={name: name},
    )


def test_bundled_plugins_are_listed_with_what_they_offer(quell: Shell) -> None:
    shown = quell("plugins", "--json")

    found = {row["name"]: row for row in shown.json}
    assert shown.code == ExitCode.DONE
    assert set(found) == {"microsoft", "defender", "sentinel", "device", "user", "mail"}
    assert {row["state"] for row in found.values()} == {"enabled"}
    assert [row["problem"] for row in found.values() if row["problem"]] == []
    assert "device.isolate (defender)" in found["device"]["offers"]["actions"]


def test_a_stranger_is_available_until_enabled_and_again_after_disabling(quell: Shell) -> None:
    lay_out(quell, "greeter", GREETER)

    states = [state_of(quell, "greeter")]
    assert quell("plugins", "enable", "greeter").out == "enabled greeter: 1 checks\n"
    states.append(state_of(quell, "greeter"))
    assert quell("plugins", "disable", "greeter").out == "disabled greeter\n"
    states.append(state_of(quell, "greeter"))

    assert states == ["available", "enabled", "available"]


def state_of(quell: Shell, name: str) -> str:
    rows = quell("plugins", "list", "--json").json
    return str(next(row["state"] for row in rows if row["name"] == name))


def test_a_quarantined_plugin_shows_in_the_list_and_in_the_exit_code(quell: Shell) -> None:
    lay_out(quell, "greeter", GREETER)
    quell("plugins", "enable", "greeter")
    lay_out(quell, "greeter", "raise RuntimeError('late')")

    shown = quell("plugins")

    assert shown.code == ExitCode.SETTINGS
    assert "files changed since it was enabled" in shown.out
    assert "quell plugins enable greeter" in shown.out


def test_enabling_a_broken_plugin_says_why_and_records_nothing(quell: Shell) -> None:
    lay_out(quell, "greeter", "raise RuntimeError('no luck')")

    shown = quell("plugins", "enable", "greeter")

    assert shown.code == ExitCode.SETTINGS
    assert "cannot be imported: RuntimeError: no luck" in shown.err
    assert state_of(quell, "greeter") == "available"


def test_a_bundled_plugin_can_be_disabled_and_enabled(quell: Shell) -> None:
    quell("plugins", "disable", "mail")
    disabled = state_of(quell, "mail")
    quell("plugins", "enable", "mail")

    assert (disabled, state_of(quell, "mail")) == ("available", "enabled")


def test_one_plugin_is_shown_with_the_names_of_its_offers(quell: Shell) -> None:
    shown = quell("plugins", "show", "device")

    assert "device.isolate (defender)" in shown.out
    assert quell("plugins", "show", "nobody").code == ExitCode.NO
