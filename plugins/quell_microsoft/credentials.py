"""Reads what an identity proves itself with, in the form that MSAL wants."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from quell.domain.secret import Secret
from quell.errors import SettingsError
from quell_microsoft.settings import Identity

__all__ = ["credential_of"]

BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


def credential_of(identity: Identity, role: str) -> Any:
    """Give MSAL's `client_credential`: a secret, a certificate with key, or an assertion."""
    if identity.client_secret is not None:
        return identity.client_secret.reveal()
    if identity.federated_token_file is not None:
        return {"client_assertion": _assertion(identity.federated_token_file, role)}
    return _certificate(identity, role)


def _assertion(path: str, role: str) -> Callable[[], str]:
    """The platform replaces the file every hour or so: read it for each sign-in."""
    return lambda: _read(path, role, "federated_token_file").strip()


def _certificate(identity: Identity, role: str) -> dict[str, str]:
    public = _read(identity.certificate_file or "", role, "certificate_file")
    private = public
    if identity.private_key_file is not None:
        private = _read(identity.private_key_file, role, "private_key_file")
    found = {
        "public_certificate": _blocks(public, "CERTIFICATE"),
        "private_key": _blocks(private, "PRIVATE KEY"),
    }
    passphrase = identity.private_key_passphrase
    _check_pair(found, passphrase, role)
    return found if passphrase is None else found | {"passphrase": passphrase.reveal()}


def _blocks(text: str, kind: str) -> str:
    """Keep the PEM blocks of a kind; one file may hold the key and the whole chain."""
    kept = [match.group(0) for match in BLOCK.finditer(text) if match.group(1).endswith(kind)]
    return "\n".join(kept) + "\n"


def _check_pair(found: dict[str, str], passphrase: Secret | None, role: str) -> None:
    password = passphrase.reveal().encode() if passphrase is not None else None
    try:
        key = load_pem_private_key(found["private_key"].encode(), password)
        certificate = load_pem_x509_certificates(found["public_certificate"].encode())[0]
    except (ValueError, TypeError, IndexError):
        # the cause is left out: it may quote the file
        raise _refused(
            role, "certificate_file", "no certificate with a usable private key"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise _refused(role, "certificate_file", "the key is not RSA, which Entra ID needs")
    if certificate.public_key() != key.public_key():
        raise _refused(role, "certificate_file", "the private key is another certificate's")


def _read(path: str, role: str, setting: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise _refused(role, setting, f"cannot be read ({type(problem).__name__})") from None


def _refused(role: str, setting: str, problem: str) -> SettingsError:
    return SettingsError(name=f"microsoft.identities.{role}.{setting}", problem=problem)
