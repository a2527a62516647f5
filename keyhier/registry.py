"""Which backend serves which URI scheme, found through entry points.

A backend of a third party registers in the group ``keyhier.backends`` as ours do and gets the
same treatment. Entry points are read at the first use, not when keyhier is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import attrs

from keyhier.driver import Backend
from keyhier.errors import AmbiguousError, UnsupportedError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINT_GROUP", "RegisteredBackend", "backend_for", "registered_backends"]

ENTRY_POINT_GROUP: Final = "keyhier.backends"


@attrs.frozen
class RegisteredBackend:
    """A backend as it was found.

    Attributes:
        scheme: the URI scheme it serves.
        target: the entry point's ``module:attribute``.
        backend: the backend, or None where it could not be loaded.
        unavailable: why it cannot be used, or None where it can.
    """

    scheme: str
    target: str
    backend: Backend | None
    unavailable: str | None


def _load(entry: EntryPoint) -> RegisteredBackend:
    try:
        backend = cast("Backend", entry.load())
        reason = backend.unavailable()
    except Exception as error:  # noqa: BLE001  # Whatever a plug-in raises is its reason for not being there.
        return RegisteredBackend(
            entry.name, entry.value, None, f"it failed to load: {type(error).__name__}: {error}"
        )
    return RegisteredBackend(entry.name, entry.value, backend, reason)


def _entries(scheme: str | None = None) -> list[EntryPoint]:
    # Imported late, because it takes longer than all of keyhier's own modules that need it not.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found = entry_points(group=ENTRY_POINT_GROUP)
    # One distribution seen twice on the path is one backend, two that claim a scheme are two.
    unique = {(entry.name, entry.value): entry for entry in found}
    return [entry for (name, _), entry in sorted(unique.items()) if scheme in (None, name)]


def registered_backends() -> list[RegisteredBackend]:
    """Return every backend, by scheme, usable or not."""
    return [_load(entry) for entry in _entries()]


def backend_for(scheme: str) -> Backend:
    """Return the backend that serves ``scheme``.

    Raises:
        UnsupportedError: none does, or it cannot be used here; the message says why.
        AmbiguousError: several do.
    """
    entries = _entries(scheme)
    if not entries:
        known = ", ".join(f"{entry.name}:" for entry in _entries()) or "none"
        raise UnsupportedError(f"no backend serves {scheme}:; installed are {known}")
    if len(entries) > 1:
        raise AmbiguousError(
            f"more than one backend serves {scheme}:",
            candidates=[entry.value for entry in entries],
            remedy="uninstall all but one",
        )
    found = _load(entries[0])
    if found.backend is None or found.unavailable is not None:
        raise UnsupportedError(f"the backend for {scheme}: cannot be used: {found.unavailable}")
    return found.backend
