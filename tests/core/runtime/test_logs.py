"""Logs: planted secrets never reach standard error, however they come, in text and in JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest

from quell.domain.secret import Secret
from quell.runtime.logs import REDACTED, Redaction, secrets_in

TOKEN = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJodHRwcyJ9.c2lnbmF0dXJlLW9mLWl0"
CLIENT_SECRET = "Zx8Q~planted-client-secret-0123456789"
DATABASE_PASSWORD = "planted%2Fpass-word%41"
REFRESH = "planted-refresh-token-0.AAAA"
WEBHOOK = "planted-webhook-key-MDEyMzQ1"
PERSON = "ann.planted@contoso.example"
PLANTED = {
    "token": TOKEN,
    "client secret": CLIENT_SECRET,
    "database password": DATABASE_PASSWORD,
    "refresh token": REFRESH,
    "webhook key": WEBHOOK,
    "person": PERSON,
}
DECODED = "planted/pass-wordA"

#: what a process does with its secrets, all of it wrong; they are told by their place in `argv`
PROGRAM = """
import json, logging, sys
from urllib.parse import unquote
import structlog
from quell.domain.secret import Secret
from quell.runtime.logs import configure_logging, secrets_in
from quell.settings import LoggingSettings

planted = json.loads(sys.argv[2])
token, secret, password, refresh, webhook, person = planted.values()
url = f"postgresql://quell:{password}@db/quell"
known = [Secret(secret), {"journal": Secret(url)}, (Secret(webhook),)]
configure_logging(LoggingSettings(format=sys.argv[1], level="debug"), secrets_in(known))
ours, library = structlog.get_logger("quell.x"), logging.getLogger("library")

ours.info("begin %s", secret, event_name="planted")
ours.info("headers", headers={"Authorization": f"Bearer {token}"}, secret=secret)
ours.info("nested", deep={"list": [{"key": webhook}]})
ours.info("url " + url)
ours.info("the driver says: %s", unquote(password))
library.warning("POST https://login/token client_secret=%s&refresh_token=%s", secret, refresh)
library.warning('answer {"access_token": "%s", "refresh_token": "%s"}', token, refresh)
library.error("mail to %s", person)
library.warning("as a value: %r", {"client_secret": secret, "refresh_token": refresh})
try:
    try:
        raise ValueError(f"refused {token} for {person}")
    except ValueError as error:
        raise ConnectionError(f"cannot connect to {url}") from error
except ConnectionError:
    ours.exception("broke with %s", webhook)
    library.exception("broke, too")
ours.info("end", event_name="last")
"""


def say(form: str, planted: dict[str, str]) -> str:
    """Run the program and give what reached standard error."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, form, json.dumps(planted)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-500:]
    assert ran.stdout == ""
    return ran.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_that_was_planted_reaches_standard_error(form: str) -> None:
    # when
    said = say(form, PLANTED)

    # then: the lines are there, what is secret in them is not
    assert "begin" in said
    assert "broke, too" in said
    assert said.count(REDACTED) >= 10
    for name, text in {**PLANTED, "decoded password": DECODED}.items():
        assert text not in said, f"the {name} was logged"
        assert json.dumps(text)[1:-1] not in said, f"the {name} was logged, escaped"


def test_a_redacted_line_is_still_json() -> None:
    # when
    lines = [json.loads(line) for line in say("json", PLANTED).splitlines()]

    # then
    assert lines[0]["event_name"] == "planted"
    assert lines[-1]["event"] == "end"


@pytest.mark.parametrize(
    "planted", ['with"quote-and\\backslash', "tab\tand\nnewline-secret", "umlaut-ü-€-secret"]
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_found_in_whatever_way_a_line_spells_it(form: str, planted: str) -> None:
    # when
    said = say(form, {**PLANTED, "client secret": planted})

    # then
    for spelling in (planted, json.dumps(planted)[1:-1], repr(planted)[1:-1]):
        assert spelling not in said


class Section(msgspec.Struct, frozen=True):
    """A plugin's section with secrets at every depth."""

    key: Secret
    more: dict[str, tuple[Secret, ...]]


def test_every_secret_of_the_settings_is_known_however_deep() -> None:
    # given
    section = Section(Secret("outer"), {"a": (Secret("inner"),)})

    # when, then
    assert set(secrets_in([section, {"x": Secret("other")}])) == {"outer", "inner", "other"}


def test_a_secret_inside_another_leaves_nothing_of_the_longer_one() -> None:
    # given
    redaction = Redaction(["long", "long-and-longer"], shapes=False)

    # when, then
    assert redaction.clean("x long-and-longer y long z") == f"x {REDACTED} y {REDACTED} z"


RETRYING = """
import sys
import stamina
from quell.runtime.logs import configure_logging
from quell.settings import LoggingSettings

configure_logging(LoggingSettings(format=sys.argv[1]))

@stamina.retry(on=OSError, attempts=2, wait_initial=0.01)
def call(person):
    raise OSError(f"no answer about {person}")

try:
    call(person="ann of accounting")
except OSError:
    pass
"""


def test_a_call_that_is_tried_again_is_told_in_a_sentence_without_what_it_was_given() -> None:
    # when
    ran = subprocess.run(
        [sys.executable, "-c", RETRYING, "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    # then
    (line,) = map(json.loads, ran.stderr.splitlines())
    assert line["event"].startswith("A call failed and is tried again in ")
    assert (line["event_name"], line["error"], line["tries"]) == ("retry_scheduled", "OSError", 1)
    assert "ann" not in ran.stderr
