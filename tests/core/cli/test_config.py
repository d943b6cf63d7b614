"""`quell config`: what applies, where it comes from, and a file to begin with."""

from __future__ import annotations

import stat
import tomllib

from quell.cli.outcome import ExitCode

from .conftest import Shell


def test_every_value_tells_where_it_is_from(quell: Shell) -> None:
    quell.write({"quell.toml": "[guard.caps]\nper_run = 3\n"})

    shown = quell("config", "show", "--json", QUELL__LOGGING__LEVEL="debug")

    rows = {row["name"]: row for row in shown.json}
    assert rows["guard.caps.per_run"]["from"] == "quell.toml"
    assert rows["logging.level"]["from"] == "environment QUELL__LOGGING__LEVEL"
    assert set(rows) == {"guard.caps.per_run", "logging.level"}
    assert "sync.mode" in quell("config", "show", "--all").out


def test_secrets_are_masked_in_both_forms(quell: Shell) -> None:
    text = """
        journal = "postgresql://me:planted-password@db/quell"
        [tenant.one.microsoft]
        tenant_id = "6f1d1b46-7ab0-4c0a-9d2f-0b3d6d0f7c11"
        [tenant.one.microsoft.identities.reader]
        client_id = "x"
        client_secret = "planted-secret"
    """
    quell.write({"quell.toml": text})

    shown = quell("config", "show").out + quell("config", "show", "--json").out

    assert "planted" not in shown
    assert "tenant.one.microsoft.identities.reader.client_secret" in shown


def test_a_new_configuration_is_good_private_and_complete(quell: Shell) -> None:
    written = quell("config", "init")
    checked = quell("config", "check", "--json")
    again = quell("config", "init")

    file = quell.folder / "quell.toml"
    assert (written.code, checked.code) == (ExitCode.DONE, ExitCode.DONE)
    assert checked.json["tenants"] == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert again.code == ExitCode.REFUSED
    assert "is there already" in again.err


def test_a_new_configuration_with_every_line_uncommented_is_toml(quell: Shell) -> None:
    quell("config", "init")
    lines = (quell.folder / "quell.toml").read_text(encoding="utf-8").splitlines()

    bare = [line.removeprefix("# ") for line in lines if is_setting(line)]
    values = tomllib.loads("\n".join(bare))

    assert values["guard"]["caps"]["per_run"] == 20
    assert values["tenant"]["NAME"]["microsoft"]["cloud"] == "global"


def is_setting(line: str) -> bool:
    bare = line.removeprefix("# ")
    return bare.startswith("[") or (" = " in bare and bare.split(" = ")[0].isidentifier())


def test_a_mistake_exits_with_3_and_names_the_setting(quell: Shell) -> None:
    quell.write({"quell.toml": "[guard]\nautos = []\n"})

    shown = quell("config", "check")

    assert shown.code == ExitCode.SETTINGS
    assert "guard.autos" in shown.err
    assert "Did you mean `guard.auto`?" in shown.err


def test_the_file_that_is_read_is_named(quell: Shell) -> None:
    nothing = quell("config", "path")
    quell.write({"other.toml": ""})
    named = quell("config", "path", QUELL_CONFIG="other.toml")

    assert "no file" in nothing.out
    assert named.out == "other.toml\n"
