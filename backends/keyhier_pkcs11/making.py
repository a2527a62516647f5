"""Making keys on a token: generated there, or brought in from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType as CkKeyType
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm
from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidStateError,
    KeyhierError,
    UnavailableError,
    UnsupportedError,
)
from keyhier_pkcs11 import rsa
from keyhier_pkcs11.errors import lost, translated
from keyhier_pkcs11.keys import purpose_of, versions_of
from keyhier_pkcs11.templates import aes_key, rsa_private_key, rsa_public_key
from keyhier_pkcs11.versions import VersionId

if TYPE_CHECKING:
    from pkcs11.types import Session

    from keyhier.driver import CreateKey, ImportKey
    from keyhier_pkcs11.objects import Identity, KeyObject, TokenObjects
    from keyhier_pkcs11.session import Connection
    from keyhier_pkcs11.templates import Template

__all__ = ["KeyMaker"]


class KeyMaker:
    """Makes keys and new versions, and sees to it that the token made what it was told to.

    Token objects are searched and written under the connection's lock, so that two threads do
    not make one name twice. Another process may: so the name is looked up once more afterwards,
    and of two first versions the one with the smaller CKA_ID, the earlier one, stays.
    """

    def __init__(self, connection: Connection, objects: TokenObjects) -> None:
        self._connection = connection
        self._objects = objects

    def create(self, request: CreateKey) -> KeyObject:
        """Generate the first version of a key; see :meth:`Driver.create_key`."""
        self._require(request.spec, request.algorithm)
        with self._connection.objects_lock:
            self._check_free(request.name)
            version = VersionId.new(request.algorithm)
            made = self._generate(
                request.name, request.spec, version, extractable=request.extractable
            )
            return self._first(request.name, made)

    def bring_in(self, request: ImportKey) -> KeyObject:
        """Create an object from outside; see :meth:`SupportsImport.import_key`."""
        self._require_algorithm(request.algorithm)
        version = VersionId.new(request.algorithm)
        template = self._secret_half(request.name, version, extractable=False)
        if request.algorithm is None:
            template.update(rsa.private_key_parts(request.material))
        else:
            template[Attribute.VALUE] = request.material.reveal()

        def create(session: Session) -> None:
            session.create_object(template)

        with self._connection.objects_lock:
            self._check_free(request.name)
            made = self._make("C_CreateObject", version, template, create)
            return self._first(request.name, made)

    def rotate(self, name: str, tag: str | None = None) -> KeyObject:
        """Generate a new version, or return the one that was made for ``tag`` already.

        See :meth:`SupportsRotation.rotate_key` and :meth:`SupportsTaggedRotation.rotate_key_for`.
        """
        with self._connection.objects_lock:
            found = versions_of(self._objects.find(label=name), name)
            latest = found[-1]
            if latest.version is None:
                raise InvalidStateError(
                    f"keyhier did not make the {latest}, so it has one version",
                    remedy="create a key and rewrap to it",
                )
            if tag is not None and (made := _made_for(tag, found)) is not None:
                # Whoever made it may have been killed before looking at it.
                self._check_made(made.identity, self._template_of(made))
                return made
            purpose = purpose_of(latest)
            self._require(purpose.spec, purpose.algorithm)
            version = VersionId.new(purpose.algorithm, latest.version, tag)
            made = self._generate(name, purpose.spec, version, extractable=latest.extractable)
            return made if tag is None else self._only_one(name, tag, made)

    def _template_of(self, key: KeyObject) -> Template:
        version = cast("VersionId", key.version)
        return self._secret_half(cast("str", key.label), version, extractable=key.extractable)

    def _only_one(self, name: str, tag: str, made: KeyObject) -> KeyObject:
        """Return the first version made for ``tag``; another process may have made one, too."""
        with self._undone_on_failure(made.identity):
            first = _made_for(tag, versions_of(self._objects.find(label=name), name))
        if first is None or first.identity == made.identity:
            return made
        self._destroy(made.identity)
        return first

    def _require(self, spec: KeySpec, algorithm: WrapAlgorithm | None) -> None:
        abilities = self._connection.abilities
        if spec not in self._connection.recovering(lambda _: abilities.key_specs):
            raise abilities.lacking(f"what a key of {spec} needs")
        self._require_algorithm(algorithm)

    def _require_algorithm(self, algorithm: WrapAlgorithm | None) -> None:
        abilities = self._connection.abilities
        if algorithm is not None and not self._connection.recovering(
            lambda _: abilities.supports(algorithm)
        ):
            raise abilities.lacking(f"what {algorithm} needs", algorithm)

    def _check_free(self, name: str) -> None:
        longest = self._connection.abilities.profile.label_bytes
        if longest is not None and len(name.encode()) > longest:
            raise UnsupportedError(
                f"this kind of token takes labels of {longest} bytes, and {name!r} is longer",
                remedy="choose a shorter name",
            )
        if self._objects.find(label=name):
            raise AlreadyExistsError(
                f"the token has a key {name!r} already", remedy="choose another name, or rotate it"
            )

    def _first(self, name: str, made: KeyObject) -> KeyObject:
        """Return ``made`` if it is the first version of its name, as it should be."""
        with self._undone_on_failure(made.identity):
            there = self._objects.find(label=name)
        first = min(there, key=lambda key: key.id, default=made)
        if first.identity == made.identity:
            return made
        self._destroy(made.identity)
        raise AlreadyExistsError(
            f"another process made a key {name!r} at the same time, which stays"
        )

    def _secret_half(self, name: str, version: VersionId, *, extractable: bool) -> Template:
        private = self._connection.logged_in
        if version.algorithm is None:
            return rsa_private_key(
                name,
                version.value,
                extractable=extractable,
                private=private,
                usages=self._connection.abilities.rsa_usages,
            )
        return aes_key(
            name, version.value, version.algorithm, extractable=extractable, private=private
        )

    def _generate(
        self, name: str, spec: KeySpec, version: VersionId, *, extractable: bool
    ) -> KeyObject:
        template = self._secret_half(name, version, extractable=extractable)

        def generate_pair(session: Session) -> None:
            public, _ = session.generate_keypair(
                CkKeyType.RSA,
                spec.bits,
                capabilities=MechanismFlag(0),
                mechanism=Mechanism.RSA_PKCS_KEY_PAIR_GEN,
                public_template=rsa_public_key(name, version.value, spec.bits),
                private_template=template,
            )
            public.destroy()

        def generate_secret(session: Session) -> None:
            session.generate_key(
                CkKeyType.AES,
                spec.bits,
                capabilities=MechanismFlag(0),
                mechanism=Mechanism.AES_KEY_GEN,
                template=template,
            )

        if spec.key_type is KeyType.RSA:
            return self._make("C_GenerateKeyPair", version, template, generate_pair)
        return self._make("C_GenerateKey", version, template, generate_secret)

    def _make(
        self,
        function: str,
        version: VersionId,
        template: Mapping[Attribute, Any],
        call: Callable[[Session], None],
    ) -> KeyObject:
        identity = (ObjectClass(template[Attribute.CLASS]), version.value)
        try:
            with self._connection.session() as session:
                call(session)
        except PKCS11Error as error:
            # It is never made a second time, for it is not known what became of the first.
            if not lost(error) or not self._objects.find(
                key_id=version.value, classes=[identity[0]]
            ):
                if not lost(error):
                    self._undo(identity)
                raise translated(error, function, "such a key") from error
        with self._undone_on_failure(identity):
            self._check_made(identity, template)
            return self._objects.find(key_id=version.value, classes=[identity[0]])[0]

    @contextmanager
    def _undone_on_failure(self, identity: Identity) -> Iterator[None]:
        """Leave nothing behind of a key that was made and cannot be read back.

        Where the token is lost, it was connected to anew already, in vain: that is not tried
        once more.
        """
        try:
            yield
        except UnavailableError as error:
            if not lost(error):
                self._undo(identity)
            raise

    def _undo(self, identity: Identity) -> None:
        object_class, key_id = identity
        halves = [object_class]
        if object_class is ObjectClass.PRIVATE_KEY:
            halves.append(ObjectClass.PUBLIC_KEY)
        for each in halves:
            with suppress(PKCS11Error, KeyhierError):
                self._objects.destroy((each, key_id))

    def _check_made(self, identity: Identity, template: Mapping[Attribute, Any]) -> None:
        """Compare what was made with the template, because some tokens ignore parts of one."""
        wanted = {name: value for name, value in template.items() if isinstance(value, bool)}
        found = self._objects.attributes(identity, tuple(wanted))
        wrong = [name for name, value in wanted.items() if found.get(name) is not value]
        if wrong:
            self._destroy(identity)
            listed = ", ".join(f"CKA_{name.name}" for name in wrong)
            raise IntegrityError(
                f"the token made a key with another {listed} than it was told to; "
                "the key was destroyed"
            )

    def _destroy(self, identity: Identity) -> None:
        try:
            self._objects.destroy(identity)
        except PKCS11Error as error:
            raise translated(error, "C_DestroyObject", "destroying the key again") from error


def _made_for(tag: str, found: Sequence[KeyObject]) -> KeyObject | None:
    """Return the first version, of those listed oldest first, that was made for ``tag``."""
    return next((key for key in found if key.version and key.version.is_for(tag)), None)
