"""Where calls may go: the only module that decides which URL a token may be sent to."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote as percent
from urllib.parse import urlencode, urlsplit

from quell.errors import RequestRefused, SettingsError
from quell_microsoft.clouds import CLOUDS, Api
from quell_microsoft.settings import MicrosoftSettings

__all__ = ["Address", "odata_string", "quote", "relative", "route"]

SAFE_IN_PATH = "/!$&'()*+,;=:@%-._~"


def quote(segment: str) -> str:
    """Write text as one segment of a path. Refuses what would climb out of its place."""
    if segment.strip() in {"", ".", ".."}:
        raise RequestRefused(
            endpoint="path segment",
            problem="a name is empty or made of dots",
            remedy="Look at the entity: its identifier was not usable as a name.",
        )
    return percent(segment, safe="")


def odata_string(text: str) -> str:
    """Write text as an OData string literal, quotes included."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def route(path: str) -> str:
    """Name a call for logs and errors: no query, and no segment that may name a person."""
    kept = urlsplit(path).path.split("/")
    return "/".join("{…}" if _may_name_a_person(part) else part for part in kept)


def _may_name_a_person(part: str) -> bool:
    return "@" in part or "%" in part or "'" in part or len(part) > 80


def relative(path: str, params: Mapping[str, str] | None = None) -> str:
    """Build a path with its query. Refuses paths that names were put into without `quote`."""
    if not _is_clean(path):
        raise RequestRefused(
            endpoint=route(path),
            problem="not sent: the path is not in normal form",
            remedy="Quote each name in the path, and put the query into `params`.",
        )
    return path + _query(path, params)


def _query(path: str, params: Mapping[str, str] | None) -> str:
    if not params:
        return ""
    joint = "&" if "?" in path else "?"
    return joint + urlencode(params, quote_via=percent, safe="$")


class Address:
    """One API of one tenant's cloud: builds its URLs and refuses all others."""

    def __init__(self, settings: MicrosoftSettings, api: Api) -> None:
        self.api = api
        cloud = CLOUDS[settings.where]
        self.scope = cloud.scopes.get(api, "")
        self._suffix = ""
        if settings.base_url is not None:
            self.root = settings.base_url.rstrip("/")
        elif api is Api.INGESTION:
            self.root = (settings.ingestion_url or "").rstrip("/")
            self._suffix = cloud.ingestion_suffix
        elif api in cloud.hosts:
            self.root = f"https://{cloud.hosts[api]}"
        else:
            raise SettingsError(
                name="microsoft.cloud", problem=f"the API {api} does not exist in {settings.cloud}"
            )
        if self._suffix and self.root:
            self.checked(self.root)

    def url(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """Build the URL of a path below the API's root, or check a whole URL of the API."""
        if path.startswith(("https://", "http://")):
            return self.checked(path) + _query(path, params)
        if not self.root:
            raise SettingsError(
                name="microsoft.ingestion_url", problem="is needed for log ingestion and not set"
            )
        return self.root + relative(path, params)

    def checked(self, url: str) -> str:
        """Give the URL back if a token of this API may be sent there; refuse it otherwise."""
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as problem:
            raise self._refused("", "the address cannot be read") from problem
        is_plain = parts.username is None and parts.password is None and "\\" not in url
        if parts.scheme == "https" and is_plain and self._is_ours(parts.hostname or "", port):
            return url
        raise self._refused(parts.path, "the address is not the API's own")

    def _is_ours(self, host: str, port: int) -> bool:
        if self._suffix:
            return host.endswith(self._suffix) and port == 443
        root = urlsplit(self.root)
        return (host, port) == (root.hostname, root.port or 443)

    def _refused(self, path: str, problem: str) -> RequestRefused:
        return RequestRefused(
            endpoint=f"{self.api} {route(path)}",
            problem=f"not sent: {problem}",
            remedy="Nothing was sent. Tokens go to the chosen cloud's own hosts only: check "
            "`microsoft.cloud`; if a product's answer named the address, report it.",
        )


def _is_clean(path: str) -> bool:
    """Tell whether a path stays where it is written: absolute, no query, no dots, no controls."""
    is_absolute = path.startswith("/") and not path.startswith("//")
    has_dots = any(part in {".", ".."} for part in path.lower().replace("%2e", ".").split("/"))
    only_safe = all(char.isascii() and (char.isalnum() or char in SAFE_IN_PATH) for char in path)
    return is_absolute and only_safe and not has_dots
