"""Objects by name, each with its versions, and what soft delete does to them."""

from __future__ import annotations

import threading
from enum import Enum, auto
from typing import Final, Generic, Protocol, TypeVar

import attrs

from keyhier.testing.keyvault.attributes import Attributes, Kind, checked_name
from keyhier.testing.keyvault.clock import Clock
from keyhier.testing.keyvault.messages import Document
from keyhier.testing.keyvault.service_error import ServiceError, conflict, forbidden, not_found

__all__ = ["Entry", "Retention", "State", "Store", "Version"]

_DAY: Final = 86_400
_DEFAULT_DAYS: Final = 90
_HELP: Final = (
    "If you recently deleted this {noun} you may be able to recover it using the correct recovery "
    "command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
)


class Version(Protocol):
    """One version of a key or of a secret."""

    id: str
    attributes: Attributes
    tags: dict[str, str] | None


V = TypeVar("V", bound=Version)


class State(Enum):
    """Where an object is in its life; what ends in -ING ends by itself."""

    LIVE = auto()
    DELETING = auto()
    DELETED = auto()
    RECOVERING = auto()
    PURGING = auto()


@attrs.define(eq=False)
class Entry(Generic[V]):
    """An object with its versions.

    Attributes:
        name: in the letters that it was first made with.
        versions: by id, the oldest first.
        state: see :class:`State`.
        since: when it came into that state.
        deleted: when it was deleted, or None.
    """

    name: str
    versions: dict[str, V] = attrs.field(factory=dict)
    state: State = State.LIVE
    since: float = 0.0
    deleted: float | None = None

    @property
    def latest(self) -> V:
        """The newest version."""
        return next(reversed(self.versions.values()))


@attrs.frozen
class Retention:
    """What the vault does with what is deleted.

    Attributes:
        days: how long it can be recovered, 7 to 90.
        purge_protection: whether nothing is purged before.
        delay: seconds that a delete, a recovery or a purge takes after it was answered.
    """

    days: int = attrs.field(
        default=_DEFAULT_DAYS, validator=[attrs.validators.ge(7), attrs.validators.le(90)]
    )
    purge_protection: bool = False
    delay: float = 0.05

    def document(self) -> Document:
        """Return what every object's attributes say of it."""
        level = "Recoverable" if self.days == _DEFAULT_DAYS else "CustomizedRecoverable"
        if not self.purge_protection:
            level += "+Purgeable"
        return {"recoveryLevel": level, "recoverableDays": self.days}


class Store(Generic[V]):
    """All keys, or all secrets, of a vault; names are the same in upper and lower case."""

    def __init__(self, kind: Kind, clock: Clock, retention: Retention) -> None:
        """Make an empty store."""
        self.kind = kind
        self.retention = retention
        self._clock = clock
        self._lock = threading.RLock()
        self._entries: dict[str, Entry[V]] = {}

    def live(self, name: str, version: str | None = None) -> Entry[V]:
        """Return what is not deleted.

        Args:
            name: of the object.
            version: whose absence is told, too.

        Raises:
            ServiceError: 404, there is none, or no such version.
        """
        with self._lock:
            entry = self._settled(checked_name(name))
            if (
                entry is None
                or entry.state is not State.LIVE
                or (version is not None and version.lower() not in entry.versions)
            ):
                raise self._not_found(name if version is None else f"{name}/{version}")
            return entry

    def version(self, name: str, version: str | None) -> tuple[Entry[V], V]:
        """Return a version, or the newest, with its object; raises as :meth:`live`."""
        entry = self.live(name, version)
        return entry, entry.latest if version is None else entry.versions[version.lower()]

    def add(self, name: str, version: V) -> Entry[V]:
        """Keep a new version, of a new object where there is none of that name.

        Raises:
            ServiceError: 409, the name is that of something deleted.
        """
        with self._lock:
            self.check_name_is_usable(name)
            entry = self._entries.setdefault(name.lower(), Entry(name))
            entry.versions[version.id] = version
            return entry

    def restore(self, entry: Entry[V]) -> None:
        """Put an object back that a backup held.

        Raises:
            ServiceError: 409, the name is in use, or that of something deleted.
        """
        with self._lock:
            self.check_name_is_usable(entry.name)
            if entry.name.lower() in self._entries:
                noun = self.kind.noun
                raise conflict(f"A {noun.lower()} with name {entry.name} already exists.")
            self._entries[entry.name.lower()] = entry

    def check_name_is_usable(self, name: str) -> None:
        """Raise 409 where the name is that of something deleted."""
        with self._lock:
            entry = self._settled(checked_name(name))
        if entry is None or entry.state is State.LIVE:
            return
        noun = self.kind.noun
        if entry.state is State.DELETED:
            raise conflict(
                f"{noun} {name} is currently in a deleted but recoverable state, and its name "
                f"cannot be reused; in this state, the {noun.lower()} can only be recovered or "
                "purged.",
                "ObjectIsDeletedButRecoverable",
            )
        doing = "Recovered" if entry.state is State.RECOVERING else "Deleted"
        raise conflict(
            f"{noun} {name} is currently being {doing.lower()} and cannot be re-created; "
            "retry later.",
            f"ObjectIsBeing{doing}",
        )

    def listed(self, state: State) -> list[Entry[V]]:
        """Return the objects in a state, by name."""
        with self._lock:
            found = [self._settled(name) for name in sorted(self._entries)]
        return [entry for entry in found if entry is not None and entry.state is state]

    def delete(self, name: str) -> Entry[V]:
        """Delete an object softly; raises as :meth:`live`."""
        with self._lock:
            entry = self.live(name)
            self._move(entry, State.DELETING)
            entry.deleted = self._clock.now()
            return entry

    def deleted(self, name: str) -> Entry[V]:
        """Return what is deleted and can be recovered.

        Raises:
            ServiceError: 404, there is none.
        """
        with self._lock:
            entry = self._settled(checked_name(name))
            if entry is None or entry.state not in {State.DELETED, State.RECOVERING}:
                noun = self.kind.noun
                raise not_found(f"{noun}NotFound", f"Deleted {noun} not found: {name}")
            return entry

    def recover(self, name: str) -> Entry[V]:
        """Undo a delete; raises as :meth:`deleted`, and 409 where that is being done."""
        with self._lock:
            entry = self._recoverable(name)
            self._move(entry, State.RECOVERING)
            return entry

    def purge(self, name: str) -> None:
        """Delete for good; raises as :meth:`recover`, and 403 under purge protection."""
        with self._lock:
            entry = self._recoverable(name)
            if self.retention.purge_protection:
                raise forbidden(
                    'Operation "purge" is not allowed because purge protection is enabled for '
                    "this vault. Key Vault service will automatically purge it after the "
                    "retention period has passed.",
                    "ForbiddenByPolicy",
                )
            self._move(entry, State.PURGING)

    def purge_date(self, entry: Entry[V]) -> int:
        """Return when a deleted object goes by itself, in seconds since 1970."""
        return int(entry.deleted or 0) + self.retention.days * _DAY

    def _recoverable(self, name: str) -> Entry[V]:
        entry = self.deleted(name)
        if entry.state is State.RECOVERING:
            noun = self.kind.noun.lower()
            raise conflict(
                f"There was a conflict while recovering the soft-deleted {noun} '{name}'. This can "
                f"happen when multiple operations are performed in parallel against the "
                f"soft-deleted {noun}. To avoid this error, perform operations against the "
                f"soft-deleted {noun} in a sequential manner."
            )
        return entry

    def _move(self, entry: Entry[V], state: State) -> None:
        entry.state, entry.since = state, self._clock.now()

    def _settled(self, name: str) -> Entry[V] | None:
        """Return the object after what ends by itself has ended."""
        entry = self._entries.get(name.lower())
        if entry is None:
            return None
        now = self._clock.now()
        over = now >= entry.since + self.retention.delay
        if entry.state is State.DELETING and over:
            entry.state = State.DELETED
        elif entry.state is State.RECOVERING and over:
            entry.state, entry.deleted = State.LIVE, None
        purged = entry.state is State.DELETED and now >= self.purge_date(entry)
        if purged or (entry.state is State.PURGING and over):
            del self._entries[name.lower()]
            return None
        return entry

    def _not_found(self, name: str) -> ServiceError:
        noun = self.kind.noun
        return not_found(
            f"{noun}NotFound",
            f"A {noun.lower()} with (name/id) {name} was not found in this key vault. "
            + _HELP.format(noun=noun.lower()),
        )
