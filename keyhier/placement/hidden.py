"""Where documents hold secrets: what stands there is never shown, whatever it is.

What is to be secret may stand where it does not belong, or as a text in place of an object. So it
is the place that counts, with all that is below it, and not what is found there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["is_hidden", "without_secrets"]

_NAMES: Final = frozenset(
    {"osprofile", "protectedsettings", "customdata", "userdata", "secrets"}
    # Of a run command, whose URLs are signed.
    | {"protectedparameters", "protectedparameter", "scripturi", "outputbloburi", "errorbloburi"}
)
_ENDINGS: Final = (
    *("password", "passwd", "pwd", "passphrase", "secret"),
    # Of storage accounts and databases.
    *("accountkey", "accesskey", "connectionstring", "sastoken", "sasuri", "sasurl"),
)
# Of a vault's access policies: what somebody may do with secrets.
_PERMISSIONS: Final = "permissions"
# The ids of vaults among them, and the names of secure parameters, tell nothing.
_NO_SECRET: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^\s]+|\[parameters\('[^']*'\)\]",
    re.IGNORECASE,
)
_DROPPED: Final = object()
_MARKS: Final = re.compile("[-_]")


def is_hidden(pointer: str) -> bool:
    """Whether a place (RFC 6901), or one that it is in, is one for secrets."""
    # Terraform writes admin_password where ARM writes adminPassword.
    names = _MARKS.sub("", pointer.casefold()).split("/")
    if _PERMISSIONS in names:
        names = names[: names.index(_PERMISSIONS)]
    return any(name in _NAMES or name.endswith(_ENDINGS) for name in names)


def without_secrets(document: object) -> object:
    """Return a document without what stands in places for secrets.

    The ids of vaults and references to secure parameters stay, and so do objects and lists that
    have nothing in them then.
    """
    return _shown(document, "")


def _shown(value: object, pointer: str) -> object:
    if isinstance(value, Mapping):
        members = {name: _shown(each, f"{pointer}/{name}") for name, each in value.items()}
        return {name: each for name, each in members.items() if each is not _DROPPED}
    if isinstance(value, list | tuple):
        items = [_shown(each, f"{pointer}/{number}") for number, each in enumerate(value)]
        return [each for each in items if each is not _DROPPED]
    told = isinstance(value, str) and _NO_SECRET.fullmatch(value)
    return value if told or not is_hidden(pointer) else _DROPPED
