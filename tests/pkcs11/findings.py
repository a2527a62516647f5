"""What an examination found, picked out by its check."""

from __future__ import annotations

from typing import Any

from keyhier.doctor import Finding
from keyhier.driver import OpenOptions
from keyhier.uri import VaultUri
from keyhier_pkcs11 import backend

__all__ = ["found", "only", "preliminary"]


def found(findings: Any, check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def only(findings: Any, check: str) -> Finding:
    (finding,) = found(findings, check)
    return finding


def preliminary(uri: str) -> list[Finding]:
    """Return what is found without a login."""
    return list(backend.preliminaries(VaultUri.parse(uri), OpenOptions()))
