"""The error tree: every failure that quell raises, what it is called, and what to do about it.

    QuellError
    ├── SettingsError            settings_invalid       a setting is missing, unknown or of the wrong type
    ├── PluginError              plugin_broken          a plugin cannot be loaded or broke its contract
    ├── PlaybookError            playbook_invalid       a playbook has mistakes; all are listed
    ├── ExpressionError          expression_failed      an expression of a playbook cannot be answered
    ├── NotFoundError            not_found              something named does not exist here
    ├── StateError               state_refused          the thing named is not in a state that allows this
    ├── JournalError
    │   ├── JournalUnavailable   journal_unavailable    the database cannot be reached, is full or is locked
    │   ├── JournalVersionError  journal_version        the database is of another version than this program
    │   └── FenceLost            fence_lost             another worker has taken the run over
    └── ConnectorError
        ├── Unreachable          unreachable            no answer; a write may have taken effect
        ├── SignInRefused        sign_in_refused        the identity was refused a token
        ├── PermissionMissing    permission_missing     the identity may not do this
        ├── AnswerNotFound       answer_not_found       the product says that there is no such thing
        ├── WriteConflict        write_conflict         a newer version of the thing exists
        ├── Throttled            throttled              the product asks us to wait
        ├── RequestRefused       request_refused        the product understood and refused
        ├── ServerFailure        server_failure         the product failed; a write may have taken effect
        └── BadAnswer            bad_answer             the answer cannot be read

Errors are for what a caller did not plan for. What an action or a write can expect to
happen is a value: see `quell.domain.outcome`. Nothing may be decided by a message's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = [
    "AnswerNotFound",
    "BadAnswer",
    "ConnectorError",
    "ExpressionError",
    "FenceLost",
    "JournalError",
    "JournalUnavailable",
    "JournalVersionError",
    "NotFoundError",
    "PermissionMissing",
    "PlaybookError",
    "PluginError",
    "QuellError",
    "RequestRefused",
    "ServerFailure",
    "SettingsError",
    "SignInRefused",
    "StateError",
    "Throttled",
    "Unreachable",
    "WriteConflict",
]


def _rebuild(kind: type[QuellError], fields: dict[str, Any]) -> QuellError:
    return kind(**fields)


class QuellError(Exception):
    """The root. `code` is stable; `remedy` says what to do, as a command or a setting where it can."""

    code: ClassVar[str] = "quell_error"

    def __init__(self, message: str, *, remedy: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        #: what the constructor was given, so that the error survives pickling
        self.fields = fields or {"message": message, "remedy": remedy}

    def __reduce__(self) -> tuple[Any, tuple[type[QuellError], dict[str, Any]]]:
        return _rebuild, (type(self), self.fields)

    def __str__(self) -> str:
        return self.message


class SettingsError(QuellError):
    """A setting is missing, unknown or of the wrong type."""

    code = "settings_invalid"

    def __init__(self, *, name: str, problem: str, where: str = "", remedy: str = "") -> None:
        origin = f" (from {where})" if where else ""
        super().__init__(
            f"Setting {name}{origin}: {problem}",
            remedy=remedy
            or "See `quell config show` for each setting, its type and where its value comes from.",
            name=name,
            problem=problem,
            where=where,
        )


class PluginError(QuellError):
    """A plugin cannot be loaded, or broke the contract of a hook."""

    code = "plugin_broken"

    def __init__(self, *, plugin: str, distribution: str, problem: str) -> None:
        super().__init__(
            f"Plugin {plugin} ({distribution}) {problem}",
            remedy="Upgrade or disable it: `quell plugins disable "
            f"{plugin}`; `quell plugins` lists what is wrong with each.",
            plugin=plugin,
            distribution=distribution,
            problem=problem,
        )


class PlaybookError(QuellError):
    """A playbook has mistakes; `problems` holds one `file:line:column: text` for each."""

    code = "playbook_invalid"

    def __init__(self, *, problems: Sequence[str]) -> None:
        super().__init__(
            "\n".join(problems),
            remedy="Mend the lines named above, then run `quell playbook check FILE` again.",
            problems=list(problems),
        )
        self.problems = tuple(problems)


class ExpressionError(QuellError):
    """An expression has no answer for this incident; a person decides, it is never taken as false."""

    code = "expression_failed"

    def __init__(self, *, playbook: str, where: str, problem: str) -> None:
        super().__init__(
            f"Playbook {playbook}, {where}: {problem}",
            remedy="Look at the run with `quell runs`, decide it by hand, then mend the expression; "
            "ask has(thing.field) before using what may be absent.",
            playbook=playbook,
            where=where,
            problem=problem,
        )


class NotFoundError(QuellError):
    """Something that the caller named does not exist here."""

    code = "not_found"

    def __init__(self, *, what: str, name: str, remedy: str = "") -> None:
        super().__init__(
            f"There is no {what} {name!r}",
            remedy=remedy
            or f"List what there is with the {what} command's list, e.g. `quell {what}s`.",
            what=what,
            name=name,
        )


class StateError(QuellError):
    """The thing named is not in a state that allows what was asked."""

    code = "state_refused"

    def __init__(self, *, what: str, problem: str, remedy: str) -> None:
        super().__init__(f"{what}: {problem}", remedy=remedy, what=what, problem=problem)
        self.fields = {"what": what, "problem": problem, "remedy": remedy}


class JournalError(QuellError):
    """The journal refused or could not be used."""

    code = "journal_error"


class JournalUnavailable(JournalError):
    """The database cannot be reached, is full, is locked by another process or is damaged."""

    code = "journal_unavailable"

    def __init__(self, *, where: str, problem: str) -> None:
        super().__init__(
            f"The journal at {where} cannot be used: {problem}",
            remedy="Nothing that was confirmed is lost. Free disk space or bring the database back, "
            "then start quell again; `quell doctor` checks it.",
            where=where,
            problem=problem,
        )


class JournalVersionError(JournalError):
    """The database was written by a version of quell that this program does not know."""

    code = "journal_version"

    def __init__(self, *, where: str, found: str, known: str) -> None:
        super().__init__(
            f"The journal at {where} has schema {found}; this program knows up to {known}",
            remedy="Upgrade quell to at least the version that wrote the journal.",
            where=where,
            found=found,
            known=known,
        )


class FenceLost(JournalError):
    """Another worker has taken the run over; stop it here, at once, without a write."""

    code = "fence_lost"

    def __init__(self, *, run_id: str) -> None:
        super().__init__(
            f"Run {run_id} was taken over by another worker",
            remedy="Nothing to do: the other worker goes on with it.",
            run_id=run_id,
        )


class ConnectorError(QuellError):
    """A call to a product failed. Names the endpoint, status, code and request id."""

    code = "connector_error"
    #: whether the request may have taken effect although no good answer came
    may_have_happened: ClassVar[bool] = False

    def __init__(
        self,
        *,
        endpoint: str,
        status: int | None = None,
        vendor_code: str = "",
        request_id: str = "",
        problem: str = "",
        remedy: str = "",
        **fields: Any,
    ) -> None:
        parts = [
            f"{endpoint}: {problem or 'failed'}",
            f"status {status}" if status is not None else "",
            f"code {vendor_code}" if vendor_code else "",
            f"client-request-id {request_id}" if request_id else "",
        ]
        super().__init__(
            ", ".join(part for part in parts if part),
            remedy=remedy
            or "Try again; `quell doctor` checks the connection, the sign-in and the permissions.",
        )
        self.fields = {
            "endpoint": endpoint,
            "status": status,
            "vendor_code": vendor_code,
            "request_id": request_id,
            "problem": problem,
            "remedy": remedy,
            **fields,
        }
        self.endpoint = endpoint
        self.status = status
        self.vendor_code = vendor_code
        self.request_id = request_id


class Unreachable(ConnectorError):
    """No answer came: connection refused, cut, or timed out."""

    code = "unreachable"
    may_have_happened = True


class SignInRefused(ConnectorError):
    """The identity was refused a token."""

    code = "sign_in_refused"


class PermissionMissing(ConnectorError):
    """The identity may not do this; `remedy` names the application permission to grant."""

    code = "permission_missing"


class AnswerNotFound(ConnectorError):
    """The product says that there is no such thing."""

    code = "answer_not_found"


class WriteConflict(ConnectorError):
    """A newer version exists: read again, reconcile again, write again."""

    code = "write_conflict"


class Throttled(ConnectorError):
    """The product asks us to wait `retry_after` seconds for this class of operation."""

    code = "throttled"

    def __init__(self, *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(retry_after=retry_after, **fields)
        self.retry_after = retry_after


class RequestRefused(ConnectorError):
    """The product understood the request and refused it; repeating it changes nothing."""

    code = "request_refused"


class ServerFailure(ConnectorError):
    """The product failed (5xx); a write may have taken effect."""

    code = "server_failure"
    may_have_happened = True


class BadAnswer(ConnectorError):
    """The answer cannot be read: truncated, not JSON, or not of the documented shape."""

    code = "bad_answer"
    may_have_happened = True
