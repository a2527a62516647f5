"""What is on the token: keys and their clashes, and what nobody needs any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pkcs11.constants import Attribute, ObjectClass

from keyhier.doctor import Finding, Severity
from keyhier.errors import (
    AmbiguousError,
    IntegrityError,
    InvalidStateError,
    KeyhierError,
    UnsupportedError,
)
from keyhier_pkcs11.binding import handle_of
from keyhier_pkcs11.doctor.workbench import LABEL_PREFIX, trying
from keyhier_pkcs11.keys import check_public_half, purpose_of, versions_of
from keyhier_pkcs11.objects import SECRET_HALVES, KeyObject, TokenObjects
from keyhier_pkcs11.search import search

if TYPE_CHECKING:
    from keyhier_pkcs11.session import Connection

__all__ = ["examine_inventory"]

_PUBLIC: Final = ObjectClass.PUBLIC_KEY
_SET_ID: Final = "give each its own, for example with pkcs11-tool --set-id"
_CLOCK_TOLERANCE: Final = timedelta(minutes=1)


def examine_inventory(connection: Connection) -> Iterator[Finding]:
    """Look through all keys of the token; nothing is used or changed."""
    found = TokenObjects(connection).find(classes=[*SECRET_HALVES, _PUBLIC])
    keys = [key for key in found if key.object_class is not _PUBLIC]
    publics = [key for key in found if key.object_class is _PUBLIC]
    yield _counted(keys, publics)
    yield from _in_the_clear(keys, _readable(connection))
    yield from _clashes_of_ids(keys)
    yield from _clashes_of_labels(keys)
    yield from _unfit(keys)
    yield from _planted(keys, publics)
    yield from _from_the_future(keys)
    yield from _left_over(found, keys, publics)


def _counted(keys: Sequence[KeyObject], publics: Sequence[KeyObject]) -> Finding:
    own = [key for key in keys if key.version is not None]
    names = len({key.label for key in own})
    disabled = sum(_is_disabled(key) for key in own)
    found = (
        f"{names} keys of keyhier's in {len(own)} versions, {disabled} of them disabled; "
        f"{len(keys) - len(own)} keys of others; {len(publics)} public keys"
    )
    return Finding("keys", Severity.OK, found)


def _is_disabled(key: KeyObject) -> bool:
    try:
        return not purpose_of(key).enabled(key)
    except KeyhierError:
        return False


def _readable(connection: Connection) -> set[int]:
    """Return the handles of the keys on the token that are not sensitive."""
    readable: set[int] = set()
    with trying("C_FindObjects"), connection.objects_lock, connection.session() as session:
        for object_class in SECRET_HALVES:
            template = {
                Attribute.CLASS: object_class,
                Attribute.TOKEN: True,
                Attribute.SENSITIVE: False,
            }
            readable.update(handle_of(each) for each in search(session, template))
    return readable


def _in_the_clear(keys: Sequence[KeyObject], readable: set[int]) -> Iterator[Finding]:
    exposed = [key for key in keys if key.handle in readable]
    if exposed:
        yield Finding(
            "keys.sensitive",
            Severity.WARNING,
            f"keys that whoever has the PIN can read (CKA_SENSITIVE is false): {_named(exposed)}",
            "make a new key, rewrap to it, and delete this one",
        )
    extractable = [key for key in keys if key.extractable and key not in exposed]
    if extractable:
        yield Finding(
            "keys.extractable",
            Severity.NOTE,
            f"keys that may leave the token wrapped (CKA_EXTRACTABLE): {_named(extractable)}",
            "see to it that this is wanted",
        )


def _clashes_of_ids(keys: Sequence[KeyObject]) -> Iterator[Finding]:
    counts = Counter(key.id for key in keys if key.id)
    for key_id in sorted(each for each, count in counts.items() if count > 1):
        same = [key for key in keys if key.id == key_id]
        yield Finding(
            "keys.id",
            Severity.ERROR,
            f"more than one key has the CKA_ID {key_id.hex()}, and none can be used: "
            f"{_named(same)}",
            _SET_ID,
        )
    if not counts or max(counts.values()) == 1:
        yield Finding("keys.id", Severity.OK, "no two keys have the same CKA_ID")


def _clashes_of_labels(keys: Sequence[KeyObject]) -> Iterator[Finding]:
    clear = True
    for label in sorted({key.label for key in keys if key.label is not None}):
        same = [key for key in keys if key.label == label]
        try:
            versions_of(same, label)
        except AmbiguousError:
            clear = False
            yield Finding(
                "keys.label",
                Severity.WARNING,
                f"more than one key is called {label!r}, and the name alone opens none: "
                f"{_named(same)}",
                "name the version, which is the CKA_ID, or change the label of all but one",
            )
    if clear:
        yield Finding("keys.label", Severity.OK, "every name means one key")


def _unfit(keys: Sequence[KeyObject]) -> Iterator[Finding]:
    unsupported: list[KeyObject] = []
    for key in keys:
        try:
            purpose_of(key)
        except IntegrityError as error:
            severity = Severity.WARNING if key.version is None else Severity.ERROR
            yield Finding.of_error("keys.purpose", error, severity)
        except InvalidStateError as error:
            yield Finding.of_error("keys.purpose", error, Severity.WARNING)
        except UnsupportedError:
            unsupported.append(key)
    if unsupported:
        found = f"keys that are not for keyhier, and left alone: {_named(unsupported)}"
        yield Finding("keys.purpose", Severity.OK, found)


def _planted(keys: Sequence[KeyObject], publics: Sequence[KeyObject]) -> Iterator[Finding]:
    fine = True
    for key in keys:
        if key.object_class is ObjectClass.PRIVATE_KEY and key.modulus and key.exponent:
            try:
                check_public_half(key, publics)
            except IntegrityError as error:
                fine = False
                yield Finding.of_error("keys.public", error)
    if fine:
        found = "no public key claims to be the half of a private key that is another's"
        yield Finding("keys.public", Severity.OK, found)


def _from_the_future(keys: Sequence[KeyObject]) -> Iterator[Finding]:
    latest = datetime.now(UTC) + _CLOCK_TOLERANCE
    ahead = [key for key in keys if key.version is not None and key.version.created > latest]
    if ahead:
        yield Finding(
            "keys.created",
            Severity.WARNING,
            f"keys that were made later than now, by this host's clock: {_named(ahead)}",
            "set the clocks of the hosts that make keys",
        )


def _left_over(
    found: Sequence[KeyObject], keys: Sequence[KeyObject], publics: Sequence[KeyObject]
) -> Iterator[Finding]:
    trials = [key for key in found if (key.label or "").startswith(LABEL_PREFIX)]
    private_ids = {key.id for key in keys if key.object_class is ObjectClass.PRIVATE_KEY}
    orphans = [key for key in publics if key.id not in private_ids and key not in trials]
    own = {key.id for key in keys if key.version is not None}
    needless = [key for key in publics if key.id in own]
    if trials:
        found_text = f"an earlier examination left objects on the token: {_named(trials)}"
        yield Finding("left-over", Severity.WARNING, found_text, "delete them")
    if orphans:
        found_text = f"public keys that no private key belongs to: {_named(orphans)}"
        yield Finding("left-over", Severity.NOTE, found_text, "delete them if nobody needs them")
    if needless:
        found_text = (
            f"public halves that keyhier does not need and did not make: {_named(needless)}"
        )
        yield Finding("left-over", Severity.NOTE, found_text, "delete them if nobody needs them")
    if not (trials or orphans or needless):
        yield Finding("left-over", Severity.OK, "nothing lies on the token that nobody needs")


_MAX_NAMED: Final = 8


def _named(keys: Iterable[KeyObject]) -> str:
    names = [str(key) for key in keys]
    rest = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
