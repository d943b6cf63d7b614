"""Settings: one file, the environment above it, checked whole, and each value knows its origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from quell.domain.offers import SettingsSection
from quell.domain.secret import Secret
from quell.errors import SettingsError
from quell.settings import (
    Settings,
    declared_rows,
    find_config,
    load_settings,
    lock_path,
    shown_rows,
)


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place."""

    #: what it is called
    name: str
    size: int = 1


class Vendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plugin's section."""

    #: where it listens
    #: on this host
    port: int
    key: Secret | None = None
    mode: Literal["fast", "safe"] = "safe"
    places: tuple[Place, ...] = ()
    keys: dict[str, Place] = msgspec.field(default_factory=dict[str, Place])

    def __post_init__(self) -> None:
        if self.port == 13:
            raise ValueError("port 13 is unlucky")


class Shared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section that is the same for all tenants."""

    colour: str = "green"


SECTIONS = [
    SettingsSection(name="vendor", model=Vendor),
    SettingsSection(name="shared", model=Shared, per_tenant=False),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "quell.toml"


def load(
    file: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    sections: Sequence[SettingsSection] = SECTIONS,
    *,
    is_lenient: bool = False,
) -> Settings:
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environ or {}, sections, is_lenient=is_lenient)


def refused(file: Path, text: str, environ: Mapping[str, str] | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(file, text, environ)
    return caught.value


def test_without_a_file_everything_has_a_default() -> None:
    settings = load_settings(None, {}, SECTIONS)

    assert settings.tenants == {}
    assert settings.journal_url.startswith("sqlite:///")
    assert settings.journal_url.endswith("/.local/state/quell/quell.sqlite3")
    assert "~" not in settings.journal_url
    assert settings.guard.auto == ()


def test_the_environment_is_above_the_file(file: Path) -> None:
    text = "[guard.caps]\nper_run = 5\nper_hour = 6\n[logging]\nlevel = 'error'\n"

    settings = load(file, text, {"QUELL__GUARD__CAPS__PER_RUN": "7", "OTHER": "x"})

    assert (settings.guard.caps.per_run, settings.guard.caps.per_hour) == (7, 6)
    assert settings.origins["guard.caps.per_run"] == "environment QUELL__GUARD__CAPS__PER_RUN"
    assert settings.origins["guard.caps.per_hour"] == str(file)


def test_an_environment_value_is_read_by_the_type_of_its_setting(file: Path) -> None:
    environ = {
        "QUELL__GUARD__AUTO": '["device.isolate"]',
        "QUELL__TENANT__ONE__SIMULATED": "true",
        "QUELL__TENANT__ONE__VENDOR__PORT": "80",
        "QUELL__TENANT__ONE__VENDOR__KEY": "12345",
        "QUELL__SYNC__GRACE": "2.5",
        "QUELL__JOURNAL": "sqlite:///x",
    }

    settings = load(file, "", environ)

    vendor = settings.tenant("one").section(Vendor)
    assert settings.guard.auto == ("device.isolate",)
    assert settings.tenant("one").simulated is True
    assert (vendor.port, vendor.key) == (80, Secret("12345"))
    assert (settings.sync.grace, settings.journal_url) == (2.5, "sqlite:///x")


def test_a_tenant_inherits_guard_and_sync_and_overrides_them_by_key(file: Path) -> None:
    text = """
        [guard]
        auto = ["device.isolate"]
        [guard.caps]
        per_run = 3
        [tenant.one.guard.caps]
        per_hour = 9
        [tenant.two]
    """

    settings = load(file, text)

    one, two = settings.tenant("one").guard, settings.tenant("two").guard
    assert (one.auto, one.caps.per_run, one.caps.per_hour) == (("device.isolate",), 3, 9)
    assert two == settings.guard


MISTAKES = {
    "gard = 1": ("gard", "there is no such setting", "Did you mean `guard`?"),
    "[guard]\nautos = []": ("guard.autos", "there is no such setting", "`guard.auto`"),
    "[guard.caps]\nper_run = 'many'": ("guard.caps.per_run", "Expected `int`, got `str`", ""),
    "[guard.caps]\nper_run = 0": ("guard.caps.per_run", "Expected `int` >= 1", ""),
    "[sync]\nmode = 'mirror'": ("sync.mode", "Invalid enum value 'mirror'", ""),
    "guard = 1": ("guard", "Expected `object`, got `int`", ""),
    "[tenant]\none = 1": ("tenant.one", "is a table", "[tenant.one]"),
    "[tenant.One]": ("tenant.One", "is not a name for a tenant", "small letters"),
    "[tenant.one.vendr]": ("tenant.one.vendr", "no such section", "`tenant.one.vendor`"),
    "[tenant.one.vendor]": ("tenant.one.vendor", "missing required field `port`", ""),
    "[tenant.one.vendor]\nport = 13": ("tenant.one.vendor", "port 13 is unlucky", ""),
    "[tenant.one.vendor]\nport = 1\nkye = 'x'": ("tenant.one.vendor.kye", "", ".key`"),
    "[tenant.one.vendor]\nport=1\n[[tenant.one.vendor.places]]\nname=3": (
        "tenant.one.vendor.places[0].name",
        "Expected `str`",
        "",
    ),
    "[tenant.one.vendor]\nport=1\n[tenant.one.vendor.keys.front]\nname='a'\nsise=1": (
        "tenant.one.vendor.keys.front.sise",
        "no such setting",
        ".size`",
    ),
    "[plugin.vendor]\nport = 1": ("plugin.vendor", "no such section", ""),
    "[tenant.one.shared]": ("tenant.one.shared", "no such section", ""),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_named_with_its_path_its_file_and_what_was_meant(
    text: str, file: Path
) -> None:
    name, problem, remedy = MISTAKES[text]

    error = refused(file, text)

    assert error.fields["name"] == name
    assert problem in str(error.fields["problem"])
    assert error.fields["where"] == str(file)
    assert remedy in error.remedy


def test_a_mistake_in_the_environment_names_the_variable(file: Path) -> None:
    error = refused(file, "", {"QUELL__GUARD__CAPS__PER_RUN": "many"})

    assert error.fields["where"] == "environment QUELL__GUARD__CAPS__PER_RUN"
    assert error.fields["name"] == "guard.caps.per_run"


def test_variables_that_contradict_each_other_are_refused(file: Path) -> None:
    error = refused(file, "", {"QUELL__GUARD": "x", "QUELL__GUARD__AUTO": "[]"})

    assert "already sets 'guard'" in str(error)


def test_a_file_that_is_not_toml_is_named_with_the_line(file: Path) -> None:
    error = refused(file, "a = 1\nb = = 2\n")

    assert "is not TOML" in str(error)
    assert "line 2" in str(error)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a = '\xff'", "not UTF-8"), (b"#" * 1_048_577, "larger than 1 MiB")],
    ids=["bytes", "size"],
)
def test_a_file_that_cannot_be_a_configuration_is_refused(
    content: bytes, problem: str, file: Path
) -> None:
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=problem):
        load_settings(file, {}, SECTIONS)


def test_a_file_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file") as caught:
        load_settings(tmp_path / "none.toml", {}, SECTIONS)

    assert "quell config init" in caught.value.remedy


def test_secrets_are_read_from_the_environment_or_a_file_and_never_shown(file: Path) -> None:
    (file.parent / "key.txt").write_text("planted-file\n")
    text = """
        [tenant.one.vendor]
        port = 1
        key = "env:VENDOR_KEY"
        [tenant.two.vendor]
        port = 1
        key = "file:key.txt"
    """

    settings = load(file, text, {"VENDOR_KEY": "planted-env"})

    one, two = (settings.tenant(name).section(Vendor) for name in ("one", "two"))
    assert (one.key, two.key) == (Secret("planted-env"), Secret("planted-file"))
    shown = repr(settings) + "".join(row.value for row in shown_rows(settings))
    assert "planted" not in shown


def test_a_secret_that_is_not_there_is_named_without_being_shown(file: Path) -> None:
    missing = refused(file, "[tenant.one.vendor]\nport = 1\nkey = 'env:NOWHERE'")
    unreadable = refused(file, "[tenant.one.vendor]\nport = 1\nkey = 'file:nowhere'")

    assert "environment variable NOWHERE is not set" in str(missing)
    assert missing.fields["name"] == "tenant.one.vendor.key"
    assert "nowhere cannot be read: No such file" in str(unreadable)


def test_a_password_in_the_journal_url_is_not_shown(file: Path) -> None:
    settings = load(file, "journal = 'postgresql://me:planted@db/quell'")

    shown = {row.name: row.value for row in shown_rows(settings)}
    assert shown["journal"] == "postgresql://me:•••@db/quell"
    assert "planted" not in repr(settings)
    assert "planted" in settings.journal_url


def test_each_shown_value_tells_where_it_came_from(file: Path) -> None:
    text = "[tenant.one.vendor]\nport = 1\nplaces = [{name = 'a'}]\n"

    rows = {
        row.name: row for row in shown_rows(load(file, text, {"QUELL__LOGGING__LEVEL": "debug"}))
    }

    assert rows["tenant.one.vendor.port"].origin == str(file)
    assert rows["tenant.one.vendor.places[0].name"].value == "a"
    assert rows["tenant.one.vendor.places[0].name"].origin == str(file)
    assert rows["logging.level"].origin == "environment QUELL__LOGGING__LEVEL"
    assert rows["logging.format"].origin == "default"
    assert rows["tenant.one.vendor.mode"].origin == "default"


def test_a_section_that_is_missing_has_its_defaults_where_all_of_them_exist(file: Path) -> None:
    settings = load(file, "[tenant.one]\n")

    assert settings.tenant("one").section(Shared).colour == "green"
    with pytest.raises(SettingsError, match="has no section for Vendor"):
        settings.tenant("one").section(Vendor)


def test_a_shared_section_is_seen_by_each_tenant(file: Path) -> None:
    settings = load(file, "[plugin.shared]\ncolour = 'red'\n[tenant.one]\n")

    assert settings.section(Shared).colour == "red"
    assert settings.tenant("one").section(Shared).colour == "red"


def test_sections_of_a_plugin_that_could_not_be_loaded_are_passed_over_and_listed(
    file: Path,
) -> None:
    text = "[tenant.one.lost]\nanything = 1\n[plugin.lost]\nmore = 2\n"

    settings = load(file, text, is_lenient=True)

    assert set(settings.ignored) == {"tenant.one.lost", "plugin.lost"}


def test_without_a_tenant_the_error_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match="no tenant is configured") as caught:
        load_settings(None, {}, SECTIONS).tenant()

    assert "quell config init" in caught.value.remedy
    assert "quell demo" in caught.value.remedy


def test_the_only_tenant_needs_no_name_and_several_do(file: Path) -> None:
    one = load(file, "[tenant.one]\n")
    several = load(file, "[tenant.one]\n[tenant.two]\n")

    assert one.tenant().name == "one"
    with pytest.raises(SettingsError, match="several tenants"):
        several.tenant()
    with pytest.raises(SettingsError, match="no tenant 'three'") as caught:
        several.tenant("three")
    assert "one, two" in caught.value.remedy


def test_the_file_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    own = tmp_path / "home" / ".config" / "quell" / "quell.toml"
    own.parent.mkdir(parents=True)

    assert find_config(None, {}) is None
    own.touch()
    assert find_config(None, {}) == own
    (tmp_path / "quell.toml").touch()
    assert find_config(None, {}) == Path("quell.toml")
    assert find_config(None, {"QUELL_CONFIG": "named.toml"}) == Path("named.toml")
    assert find_config(Path("chosen.toml"), {"QUELL_CONFIG": "x"}) == Path("chosen.toml")
    assert lock_path(Path("chosen.toml")) == tmp_path / "plugins.lock"
    assert lock_path(None) == own.parent / "plugins.lock"


def test_declared_settings_have_their_comment_type_and_default() -> None:
    rows = {row.name: row for row in declared_rows(SECTIONS)}

    port = rows["tenant.NAME.vendor.port"]
    assert (port.type, port.default, port.text) == (
        "whole number",
        "required",
        "where it listens on this host",
    )
    assert rows["tenant.NAME.vendor.places[].name"].type == "text"
    assert rows["tenant.NAME.vendor.keys.NAME.size"].default == "1"
    assert rows["plugin.shared.colour"].default == "green"
    assert rows["tenant.NAME.vendor.mode"].type == '"fast" or "safe"'


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["guard", "caps", "auto", "tenant", "one", "vendor", "port", "keys"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def names_of(table: Any) -> list[str]:
    assert isinstance(table, dict)
    return list(table)  # pyright: ignore[reportUnknownArgumentType] # hypothesis made it


# what it takes to run says nothing about what it reads
@hypothesis_settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["guard", "sync", "tenant", "plugin", "x"]), VALUES))
def test_whatever_a_file_holds_it_is_read_or_refused_by_name(values: dict[str, object]) -> None:
    from quell.settings import Layer, build_settings

    try:
        outcome: Settings | SettingsError = build_settings([Layer(values, {})], SECTIONS)
    except SettingsError as error:
        outcome = error

    if isinstance(outcome, Settings):
        assert list(outcome.tenants) == names_of(values.get("tenant", {}))
    else:
        assert outcome.fields["name"]
        assert outcome.remedy
