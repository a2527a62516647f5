"""What is known of a vendor's module, as data: a TOML file for each, with a source in every line.

A profile never makes anything possible. What it leaves open is tried on the token as without it,
and what it names is tried all the same: it only says which of the trials are worth making, and so
narrows what they find. A line reads ``name = { is = …, source = "…" }``, where the source is an
address of public documentation or ``measured with …``; a line without one, and any name that is
not known here, is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.algorithms import WrapAlgorithm
from keyhier.errors import AmbiguousError, InvalidInputError

__all__ = [
    "GENERIC",
    "Evidence",
    "LibraryInfo",
    "Match",
    "Profile",
    "Way",
    "choose_profile",
    "read_profile",
    "shipped_profiles",
]

_FOLDER: Final = Path(__file__).with_name("profiles")
_GENERIC: Final = "generic"
_FROM_DOCUMENTATION: Final = "https://"
_MEASURED: Final = "measured with "

_OAEP: Final = {"SHA-1": WrapAlgorithm.RSA_OAEP, "SHA-256": WrapAlgorithm.RSA_OAEP_256}
_OTHER_HASHES: Final = frozenset({"SHA-224", "SHA-384", "SHA-512"})


class Evidence(StrEnum):
    """Where a profile comes from: our own measurements, or what the vendor has published."""

    MEASURED = "measured"
    DOCUMENTATION = "documentation"


class Way(StrEnum):
    """A PKCS#11 function that opens what was wrapped under an RSA key."""

    DECRYPT = "C_Decrypt"
    UNWRAP = "C_UnwrapKey"


@attrs.frozen
class LibraryInfo:
    """What a module says of itself: CK_INFO (PKCS#11 v3.1, section 3.1).

    Attributes:
        manufacturer: the manufacturerID, without the blanks that fill it.
        library: the libraryDescription, likewise.
        version: the libraryVersion, major and minor.
    """

    manufacturer: str
    library: str
    version: tuple[int, int]


@attrs.frozen
class Match:
    """Which modules a profile is for, by their CK_INFO.

    Attributes:
        manufacturer: the manufacturerID.
        library: how the libraryDescription begins, or None where that does not matter.
        since: the first libraryVersion it is for, or None.
    """

    manufacturer: str
    library: str | None = None
    since: tuple[int, int] | None = None

    def fits(self, info: LibraryInfo) -> bool:
        """Whether the module with this CK_INFO is meant."""
        return (
            info.manufacturer == self.manufacturer
            and info.library.startswith(self.library or "")
            and info.version >= (self.since or (0, 0))
        )


@attrs.frozen
class Profile:
    """What is known of a module. None means that nothing is, so that trials alone decide.

    Attributes:
        name: what ``profile=`` in a URI calls it.
        title: the product.
        evidence: whether somebody of us measured it.
        match: which modules it is for; None for one that only a URI chooses.
        oaep: the OAEP algorithms that are worth a trial.
        rsa: the functions that may open what was wrapped under an RSA key, the better one first.
        key_wrap: the numbers of the mechanisms that may be AES key wrap (RFC 3394).
        padded_key_wrap: the numbers of those that may be AES key wrap with padding (RFC 5649).
        gcm: False where AES-GCM does not take an IV from outside, or is no use otherwise.
        value_len: whether C_UnwrapKey with AES key wrap demands a CKA_VALUE_LEN.
        generates: False where it makes no key as keyhier's keys are made.
        label_bytes: how many bytes of UTF-8 a key's label may have.
        pin: what a PIN looks like, for whoever typed a wrong one.
        init_args: what the module wants to be told at C_Initialize.
        locks: whether CKF_OS_LOCKING_OK was seen to make it safe for several threads. Where it is
            False, keyhier carries out one operation at a time.
        finalizes: False where C_Finalize harms the program, so that keyhier never calls it, and a
            dead module stays dead until the program starts anew. It holds for a module whatever
            profile a URI names.
        sources: for each line of the file where it comes from.
    """

    name: str
    title: str
    evidence: Evidence
    match: Match | None = None
    oaep: tuple[WrapAlgorithm, ...] | None = None
    rsa: tuple[Way, ...] | None = None
    key_wrap: tuple[int, ...] | None = None
    padded_key_wrap: tuple[int, ...] | None = None
    gcm: bool | None = None
    value_len: bool | None = None
    generates: bool | None = None
    label_bytes: int | None = None
    pin: str | None = None
    init_args: str | None = None
    locks: bool | None = None
    finalizes: bool | None = None
    sources: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)


GENERIC: Final = Profile(_GENERIC, "any other module", Evidence.MEASURED)
"""What is used where nothing is known: every trial is made."""


def choose_profile(
    info: LibraryInfo, name: str | None = None, among: Mapping[str, Profile] | None = None
) -> Profile:
    """Return the profile that is named, or else the one for the module.

    Args:
        info: the module's CK_INFO.
        name: ``profile=`` of the URI, or None.
        among: the profiles by their names, those of keyhier by default.

    Raises:
        InvalidInputError: no profile has that name; the message lists those there are.
        AmbiguousError: several profiles are for the module.
    """
    known = shipped_profiles() if among is None else among
    if name is not None:
        if name not in known:
            raise InvalidInputError(f"no profile {name!r:.60}; there are {', '.join(known)}")
        return known[name]
    fitting = [each for each in known.values() if each.match and each.match.fits(info)]
    if len(fitting) > 1:
        raise AmbiguousError(
            f"more than one profile is for {info.manufacturer!r}, {info.library!r}",
            candidates=[each.name for each in fitting],
            remedy="name one by profile= in the URI",
        )
    return fitting[0] if fitting else GENERIC


@cache
def shipped_profiles() -> Mapping[str, Profile]:
    """Return the profiles that come with keyhier, by their names.

    Raises:
        InvalidInputError: one of the files is malformed.
    """
    read = (read_profile(path) for path in sorted(_FOLDER.glob("*.toml")))
    return MappingProxyType({_GENERIC: GENERIC, **{profile.name: profile for profile in read}})


def read_profile(path: Path) -> Profile:
    """Read a profile; its name is the file's.

    Raises:
        InvalidInputError: the file is no TOML, has a name that is not known here, a value of the
            wrong kind, or a line without a source.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return _read(path.stem, content)
    except _MalformedError as error:
        raise InvalidInputError(f"{path}: {error}") from None


class _MalformedError(Exception):
    """What is wrong with a file, to be told with its name."""


def _read(name: str, content: dict[str, Any]) -> Profile:
    _only(content, {"title", "evidence", "match", "facts"}, "the file")
    title = _text(content.get("title"), "title")
    if content.get("evidence") not in list(Evidence):
        raise _MalformedError(f"evidence is one of {', '.join(Evidence)}")
    evidence = Evidence(content["evidence"])
    sources: dict[str, str] = {}
    match = _lines(content.get("match", {}), _MATCH, evidence, sources)
    if match and "manufacturer" not in match:
        raise _MalformedError("[match] names the manufacturer")
    facts = _lines(content.get("facts", {}), _FACTS, evidence, sources)
    return Profile(
        name,
        title,
        evidence,
        Match(**match) if match else None,
        **facts,
        sources=MappingProxyType(sources),
    )


Reader = Callable[[object, str], Any]


def _lines(
    table: object, readers: Mapping[str, Reader], evidence: Evidence, sources: dict[str, str]
) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise _MalformedError("[match] and [facts] are tables")
    _only(table, set(readers), "a table")
    found: dict[str, Any] = {}
    for name, line in table.items():
        if not isinstance(line, dict) or set(line) != {"is", "source"}:
            raise _MalformedError(f"{name} has the form {{ is = …, source = … }}")
        source = _text(line["source"], f"the source of {name}")
        measured = source.startswith(_MEASURED)
        if not measured and not source.startswith(_FROM_DOCUMENTATION):
            raise _MalformedError(f"the source of {name} is an address, or {_MEASURED!r} and what")
        if measured and evidence is not Evidence.MEASURED:
            raise _MalformedError(f"{name} was measured, in a profile from documentation")
        found[name.replace("-", "_")] = readers[name](line["is"], name)
        sources[name] = source
    return found


def _only(table: dict[str, Any], known: set[str], where: str) -> None:
    for name in table:
        if name not in known:
            raise _MalformedError(f"{name!r} is unknown in {where}; known are {sorted(known)}")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _MalformedError(f"{name} is text")
    return value


def _truth(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise _MalformedError(f"{name} is true or false")
    return value


def _number(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise _MalformedError(f"{name} is a number above 0")
    return value


def _version(value: object, name: str) -> tuple[int, int]:
    major, _, minor = _text(value, name).partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise _MalformedError(f"{name} is a version such as 5.0")
    return int(major), int(minor)


def _each(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise _MalformedError(f"{name} is a list")
    return value


def _mechanisms(value: object, name: str) -> tuple[int, ...]:
    return tuple(_number(each, name) for each in _each(value, name))


def _hashes(value: object, name: str) -> tuple[WrapAlgorithm, ...]:
    hashes = [_text(each, name) for each in _each(value, name)]
    for each in hashes:
        if each not in _OAEP and each not in _OTHER_HASHES:
            raise _MalformedError(f"{name} knows no {each!r}")
    # The other hashes are named for the reader; no algorithm here uses them.
    return tuple(_OAEP[each] for each in hashes if each in _OAEP)


def _ways(value: object, name: str) -> tuple[Way, ...]:
    found = [_text(each, name) for each in _each(value, name)]
    if not set(found) <= set(Way):
        raise _MalformedError(f"{name} lists {' and '.join(Way)}")
    return tuple(Way(each) for each in found)


_MATCH: Final[Mapping[str, Reader]] = {
    "manufacturer": _text,
    "library": _text,
    "since": _version,
}
_FACTS: Final[Mapping[str, Reader]] = {
    "oaep": _hashes,
    "rsa": _ways,
    "key-wrap": _mechanisms,
    "padded-key-wrap": _mechanisms,
    "gcm": _truth,
    "value-len": _truth,
    "generates": _truth,
    "label-bytes": _number,
    "pin": _text,
    "init-args": _text,
    "locks": _truth,
    "finalizes": _truth,
}
