"""Why a sign-in failed, and what to do about it: by Entra's own error numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from quell.errors import SignInRefused
from quell_microsoft.errors import NotSent

__all__ = ["Refusals"]

#: Entra tolerates five minutes
MOST_SKEW = 300.0
CHECK = "Run `quell doctor`; the correlation id finds the attempt in Entra's sign-in log."
#: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
REMEDIES: dict[int, str] = {
    7000215: "The client secret is wrong: set the secret's *value*, not its id.",
    7000222: "The client secret has expired: create a new one, set it, then remove the old one.",
    90002: "There is no such tenant in this cloud: check `tenant_id` and `cloud`.",
    900021: "`tenant_id` is no tenant id: check it.",
    700016: "The application is not known in this tenant: check `client_id` and `tenant_id`.",
    700027: "The certificate is not registered with the application: upload its public part.",
    700024: "The signed assertion is out of its time: set this host's clock, e.g. with NTP.",
    70021: "No federated credential of the application matches the token: check its subject.",
    700213: "No federated credential of the application matches the token: check its subject.",
    500011: "The tenant has no such API: it is not licensed there, or `cloud` is wrong.",
    1002012: "The API belongs to another cloud: check `cloud`.",
    53003: "A Conditional Access policy blocks the application: allow it from this address.",
    50196: "Too many sign-ins in a loop: wait some minutes.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Builds the errors of one identity's sign-in."""

    role: str
    host: str

    @property
    def endpoint(self) -> str:
        """Name the sign-in for people."""
        return f"sign-in at {self.host} for the role {self.role!r}"

    def refused(self, result: dict[str, Any], skew: float | None) -> SignInRefused:
        """The service said no; its codes are kept, its words are not."""
        number = _number(result)
        code = f"AADSTS{number}" if number else _word(result.get("error"))
        if is_wrong(skew) or number == 700024:
            return self._clock(code, result, skew)
        return SignInRefused(
            endpoint=self.endpoint,
            vendor_code=code,
            request_id=_word(result.get("correlation_id")),
            problem="refused",
            remedy=f"{REMEDIES.get(number, 'Check the credential, client_id and tenant_id.')} {CHECK}",
        )

    def _clock(self, code: str, result: dict[str, Any], skew: float | None) -> SignInRefused:
        return SignInRefused(
            endpoint=self.endpoint,
            vendor_code=code,
            request_id=_word(result.get("correlation_id")),
            problem=f"refused; {describe(skew)}" if is_wrong(skew) else "refused: out of its time",
            remedy="Set this host's clock, e.g. with NTP: sign-ins more than five minutes off "
            "are refused.",
        )

    def not_reached(self, reason: str, request_id: str) -> NotSent:
        """No answer came."""
        return NotSent(
            endpoint=self.endpoint,
            request_id=request_id,
            problem=reason,
            remedy="Check the network, the proxy and `microsoft.ca_file`; `quell doctor` tries "
            "each host.",
        )

    def unreadable(self, status: int, request_id: str) -> NotSent | SignInRefused:
        """The answer was 5xx or not JSON."""
        if status >= 500 or status == 200:
            return NotSent(
                endpoint=self.endpoint,
                status=status,
                request_id=request_id,
                problem="the service failed",
            )
        return SignInRefused(
            endpoint=self.endpoint,
            status=status,
            request_id=request_id,
            problem="the answer is not one of a sign-in service",
            remedy=f"Check `cloud`, `tenant_id` and any proxy on the way. {CHECK}",
        )

    def no_authority(self) -> SignInRefused:
        """The tenant's sign-in configuration is missing or points elsewhere."""
        return SignInRefused(
            endpoint=self.endpoint,
            problem="the tenant has no usable sign-in configuration there",
            remedy=f"Check `tenant_id` and `cloud` in the settings. {CHECK}",
        )

    def not_simulated(self) -> SignInRefused:
        """A base URL is set, and what answers there is no simulator."""
        return SignInRefused(
            endpoint=self.endpoint,
            problem="what answers at `base_url` is no simulator; no credential was sent",
            remedy="Start one with `quell simulate`, or remove `base_url` to use the real tenant.",
        )

    def wrong_tenant(self) -> SignInRefused:
        """The token is for another tenant than the settings say."""
        return SignInRefused(
            endpoint=self.endpoint,
            problem="the token belongs to another tenant and was thrown away",
            remedy="Check `tenant_id`; a managed identity belongs to its host's own tenant.",
        )


def is_wrong(skew: float | None) -> bool:
    """Tell whether a clock is further off than Entra tolerates."""
    return skew is not None and abs(skew) > MOST_SKEW


def describe(skew: float | None) -> str:
    """Say in words how far this host's clock is off."""
    minutes = round(abs(skew or 0.0) / 60)
    return f"this host's clock is {minutes} minutes {'ahead' if (skew or 0) > 0 else 'behind'}"


def _number(result: dict[str, Any]) -> int:
    codes = result.get("error_codes")
    first: Any = cast(list[object], codes)[0] if isinstance(codes, list) and codes else 0
    return first if isinstance(first, int) else 0


def _word(value: Any) -> str:
    is_word = isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum()
    return value[:80] if isinstance(value, str) and is_word else ""
