"""Keys: made, imported, shown, changed and rotated."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

import attrs

from keyhier import base64url
from keyhier.testing.keyvault.attributes import Attributes, Kind, read_tags
from keyhier.testing.keyvault.clock import Clock
from keyhier.testing.keyvault.key_material import Material
from keyhier.testing.keyvault.messages import Answer, Document, Request
from keyhier.testing.keyvault.objects import Objects
from keyhier.testing.keyvault.rotation import Policy
from keyhier.testing.keyvault.service_error import ServiceError, bad_parameter
from keyhier.testing.keyvault.store import Entry, State, Store

__all__ = ["KEY", "KeyVersion", "Keys"]

KEY: Final = Kind("Key", "keys", longest_tag=256)

# What a key of a family may do, and does where a request does not say.
_OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"),
    "EC": ("sign", "verify"),
    "oct": ("encrypt", "decrypt", "wrapKey", "unwrapKey"),
}
_MORE_OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("import", "export"),
    "EC": ("export",),
    "oct": ("sign", "verify", "export"),
}
_VAULT_TYPES: Final = ("RSA", "RSA-HSM", "EC", "EC-HSM")
_HSM_TYPES: Final = ("RSA-HSM", "EC-HSM", "oct-HSM")


@attrs.define
class KeyVersion:
    """One version of a key."""

    material: Material
    operations: tuple[str, ...]
    attributes: Attributes
    tags: dict[str, str] | None
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)


class Keys(Objects[KeyVersion]):
    """The routes of keys, but for what keys do."""

    def __init__(self, store: Store[KeyVersion], clock: Clock, *, managed_hsm: bool) -> None:
        """Serve what is in ``store``, with the key types of a vault or of a Managed HSM."""
        super().__init__(store, clock)
        self._types = _HSM_TYPES if managed_hsm else _VAULT_TYPES
        self._least_days = 28 if managed_hsm else 7
        self._rotating = threading.Lock()
        self._policies: WeakKeyDictionary[Entry[KeyVersion], Policy] = WeakKeyDictionary()

    def create(self, request: Request, name: str) -> Answer:
        """Answer ``POST /keys/{name}/create``."""
        self.store.check_name_is_usable(name)
        document = request.document()
        kty = self._checked_type(document.get("kty"))
        operations = _operations(kty, document.get("key_ops"))
        material = Material.generate(kty, document.get("key_size"), document.get("crv"))
        return self._keep(request, name, material, operations, document)

    def import_key(self, request: Request, name: str) -> Answer:
        """Answer ``PUT /keys/{name}``."""
        self.store.check_name_is_usable(name)
        document = request.document()
        jwk = document.get("key")
        if not isinstance(jwk, dict):
            raise bad_parameter("The required parameter key is missing.")
        material = Material.imported(jwk)
        hsm = document.get("Hsm", document.get("hsm")) is True
        if hsm and not material.in_hsm:
            material = attrs.evolve(material, kty=f"{material.kty}-HSM")
        self._checked_type(material.kty)
        operations = _operations(material.kty, jwk.get("key_ops"))
        return self._keep(request, name, material, operations, document)

    def get(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``GET /keys/{name}/{version}``."""
        entry, found = self.version(name, version)
        return Answer(document=self.bundle(request.base, entry, found))

    def update(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``PATCH /keys/{name}/{version}``: what is given is replaced."""
        entry, found = self.version(name, version)
        document = request.document()
        given = document.get("key_ops")
        operations = found.operations if given is None else _operations(found.material.kty, given)
        tags = read_tags(document.get("tags"), KEY)
        found.attributes.update(document, self._clock.now())
        found.operations = operations
        found.tags = found.tags if tags is None else tags
        return Answer(document=self.bundle(request.base, entry, found))

    def rotate(self, request: Request, name: str) -> Answer:
        """Answer ``POST /keys/{name}/rotate``."""
        entry, _ = self.version(name, None)
        version = self._rotated(entry, self._clock.now())
        return Answer(document=self.bundle(request.base, entry, version))

    def get_policy(self, request: Request, name: str) -> Answer:
        """Answer ``GET /keys/{name}/rotationpolicy``."""
        entry, _ = self.version(name, None)
        policy = self._policies.get(entry, Policy())
        return self._policy_answer(request, entry, policy)

    def set_policy(self, request: Request, name: str) -> Answer:
        """Answer ``PUT /keys/{name}/rotationpolicy``."""
        entry, _ = self.version(name, None)
        policy = Policy.read(request.document(), self._least_days, self._clock.now())
        if previous := self._policies.get(entry):
            policy.created = previous.created
        self._policies[entry] = policy
        return self._policy_answer(request, entry, policy)

    def version(self, name: str, version: str | None) -> tuple[Entry[KeyVersion], KeyVersion]:
        """Return a version, or the newest, after the rotations that are due were made."""
        self._rotate_what_is_due(self.store.live(name))
        return self.store.version(name, version)

    def material(self, name: str, version: str | None) -> Material | None:
        """Return the key of a version, or of the newest, or None where there is none."""
        try:
            return self.version(name, version)[1].material
        except ServiceError:
            return None

    def list_live(self, request: Request) -> Answer:
        """Answer ``GET /keys``."""
        for entry in self.store.listed(State.LIVE):
            self._rotate_what_is_due(entry)
        return super().list_live(request)

    def list_versions(self, request: Request, name: str) -> Answer:
        """Answer ``GET /keys/{name}/versions``."""
        self._rotate_what_is_due(self.store.live(name))
        return super().list_versions(request, name)

    def bundle(self, base: str, entry: Entry[KeyVersion], version: KeyVersion) -> Document:
        """Return a version with its public key."""
        material = version.material
        key = {
            "kid": self.url(base, entry, version),
            "kty": material.kty,
            "key_ops": list(version.operations),
        }
        common = self.common(version)
        common["attributes"]["exportable"] = False
        return {"key": key | material.public_members()} | common

    def row(self, version: KeyVersion) -> Document:
        """Return nothing: a listing shows no more of a key."""
        return {}

    def dump(self, version: KeyVersion) -> Document:
        """Return the key itself."""
        return {
            "kty": version.material.kty,
            "key": base64url.encode(version.material.to_bytes()),
            "key_ops": version.operations,
        }

    def load(self, document: Document) -> KeyVersion:
        """Return what :meth:`dump` was given; an AES key is none for a vault."""
        kty = self._checked_type(document["kty"])
        material = Material.from_bytes(kty, base64url.decode(document["key"]))
        return KeyVersion(material, tuple(document["key_ops"]), Attributes(0, 0), tags=None)

    def _keep(
        self,
        request: Request,
        name: str,
        material: Material,
        operations: tuple[str, ...],
        document: Document,
    ) -> Answer:
        now = self._clock.now()
        attributes = Attributes.of(document, now)
        tags = read_tags(document.get("tags"), KEY)
        version = KeyVersion(material, operations, attributes, tags)
        entry = self.store.add(name, version)
        return Answer(document=self.bundle(request.base, entry, version))

    def _checked_type(self, kty: object) -> str:
        if not isinstance(kty, str) or kty not in self._types:
            raise bad_parameter(
                f"The key type {kty} is not supported here: {', '.join(self._types)} are."
            )
        return kty

    def _rotate_what_is_due(self, entry: Entry[KeyVersion]) -> None:
        policy = self._policies.get(entry)
        if policy is None:
            return
        # Requests come on many threads, and each rotation is made once.
        with self._rotating:
            while True:
                latest = entry.latest.attributes
                due = policy.due(latest.created, latest.expires)
                if due is None or due > self._clock.now():
                    return
                self._rotated(entry, max(due, latest.created))

    def _rotated(self, entry: Entry[KeyVersion], when: float) -> KeyVersion:
        previous = entry.latest
        attributes = Attributes(created=int(when), updated=int(when))
        if policy := self._policies.get(entry):
            attributes.expires = policy.expires(when)
        version = KeyVersion(
            previous.material.successor(), previous.operations, attributes, previous.tags
        )
        self.store.add(entry.name, version)
        return version

    def _policy_answer(self, request: Request, entry: Entry[KeyVersion], policy: Policy) -> Answer:
        return Answer(document=policy.document(f"{self.url(request.base, entry)}/rotationpolicy"))


def _operations(kty: str, given: object) -> tuple[str, ...]:
    family = kty.removesuffix("-HSM")
    if given is None:
        return _OPERATIONS[family]
    allowed = {*_OPERATIONS[family], *_MORE_OPERATIONS[family]}
    if not isinstance(given, list) or not all(
        isinstance(each, str) and each in allowed for each in given
    ):
        raise bad_parameter(f"The parameter key_ops has a value that no key of type {kty} has.")
    return tuple(dict.fromkeys(given))
