"""Findings: what an examination of a vault looked at, what it found, and what to do about it.

Findings are values: they can be compared, shown and turned into JSON. :meth:`Vault.doctor`
examines a vault that is open, :func:`keyhier.examination.examine` also one that does not open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

import attrs

from keyhier.errors import KeyhierError

__all__ = ["Diagnosis", "Finding", "Severity", "guarded"]


class Severity(StrEnum):
    """How bad a finding is; they compare by that."""

    OK = "ok"
    """As it should be."""

    NOTE = "note"
    """Works, but not in every way that there is; good to know."""

    WARNING = "warning"
    """Works today, and something should be done about it."""

    ERROR = "error"
    """Something that the vault is needed for does not work, or is not safe."""

    @property
    def rank(self) -> int:
        """0 for what is as it should be, and more the worse it is."""
        return list(Severity).index(self)


@attrs.frozen
class Finding:
    """One thing that was looked at. It holds no secret and no PIN.

    Attributes:
        check: what was looked at: a name that stays what it is, such as ``clock``.
        severity: how bad it is.
        found: what was found, one sentence without a full stop.
        remedy: what to do about it; None only where all is as it should be.
        native: the native call and code behind it, such as ``C_Login: CKR_PIN_LOCKED``, or None.
    """

    check: str
    severity: Severity
    found: str
    remedy: str | None = None
    native: str | None = None

    @classmethod
    def of_error(
        cls, check: str, error: KeyhierError, severity: Severity = Severity.ERROR
    ) -> Finding:
        """Turn an error into what was found, such as that a check could not be made to its end."""
        remedy = error.remedy or "see what the vault's own log and documentation say of it"
        return cls(check, severity, error.message, remedy, error.native)

    def as_dict(self) -> dict[str, str | None]:
        """Return the finding for JSON."""
        fields: dict[str, Any] = attrs.asdict(self)
        return {**fields, "severity": self.severity.value}


@attrs.frozen
class Diagnosis:
    """All that an examination found.

    Attributes:
        vault: the URI of the vault.
        findings: in the order in which things depend on each other.
    """

    vault: str
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def worst(self) -> Severity:
        """The severity of the worst finding."""
        return max((each.severity for each in self.findings), key=_rank, default=Severity.OK)

    def as_dict(self) -> dict[str, object]:
        """Return the diagnosis for JSON."""
        findings = [each.as_dict() for each in self.findings]
        return {"vault": self.vault, "worst": self.worst.value, "findings": findings}


def _rank(severity: Severity) -> int:
    return severity.rank


def guarded(check: str, examine: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what ``examine`` finds; an error of keyhier's that ends it is one more finding.

    So one check that fails does not keep the others from being made.
    """
    try:
        yield from examine()
    except KeyhierError as error:
        yield Finding.of_error(check, error)
