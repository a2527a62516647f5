"""Where an examination tries things: objects of one session, marked, and gone when it is over."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa as software_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.errors import UnavailableError
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import rsa
from keyhier_pkcs11.binding import BoundKey, handle_of
from keyhier_pkcs11.errors import native
from keyhier_pkcs11.login import LoginOverError
from keyhier_pkcs11.search import search
from keyhier_pkcs11.templates import (
    aes_key,
    kept_in_session,
    rsa_private_key,
    rsa_public_key,
    secret_in_session,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from pkcs11.types import Object, Session

    from keyhier_pkcs11.login import Login
    from keyhier_pkcs11.session import Connection
    from keyhier_pkcs11.templates import Template

__all__ = ["LABEL_PREFIX", "AesKey", "RsaKey", "Workbench", "open_workbench", "trying"]

LABEL_PREFIX: Final = "keyhier-doctor-"
"""How the labels of all objects begin that an examination makes."""

_T = TypeVar("_T")


@contextmanager
def trying(function: str, said: str = "the token refused a trial") -> Iterator[None]:
    """Turn what the token answers into an error of keyhier's that names the call and the code.

    What the code means is for the finding to say: a token that cannot do something is not broken.
    """
    try:
        yield
    except PKCS11Error as error:
        code = native(function, error)
        raise UnavailableError(said, native=code) from error
    except LoginOverError:
        # Handles are good in one login only, and may mean other objects in the next.
        raise UnavailableError(
            "the token was lost during the examination", remedy="examine it again"
        ) from None


@attrs.frozen
class AesKey:
    """An AES key of the session.

    Attributes:
        handle: its handle.
        value: its value, or None where the token takes none from outside.
    """

    handle: int
    value: bytes | None = attrs.field(repr=False)


@attrs.frozen
class RsaKey:
    """The private half of an RSA key pair, in the session.

    Attributes:
        handle: its handle.
        public_key: the public half.
        generated: whether the token made it, or was given it.
    """

    handle: int
    public_key: RSAPublicKey
    generated: bool


class Workbench:
    """Makes objects to try with in a session of its own, which others may use by their handles.

    Attributes:
        connection: the connection.
        private: whether objects are private, which they can only be after a login.
        label: what all of them are called.
    """

    def __init__(self, connection: Connection, login: Login, session: Session) -> None:
        """Work in a session that is lent; :func:`open_workbench` is the way in."""
        self.connection = connection
        self.private = login.logged_in
        self._login = login
        self.label = f"{LABEL_PREFIX}{secrets.token_hex(8)}"
        self._id = secrets.token_bytes(16)
        self._session = session
        self._made: list[Object] = []
        self._rsa: RsaKey | None = None

    @property
    def listed(self) -> frozenset[int]:
        """The mechanisms that the token lists."""
        return self.connection.abilities.listed

    def attempt(self, function: str, handle: int, operation: Callable[[BoundKey], _T]) -> _T:
        """Run an operation with a key in another session, which a failure may spoil.

        Raises:
            KeyhierError: the token refuses; ``native`` names the call and the code.
        """
        with trying(function), self._login.session() as session:
            return operation(BoundKey(session, handle, self.connection.module))

    def secret(self, key_type: KeyType, *usages: Attribute) -> Template:
        """Return the template of a secret of the session that can be read."""
        template = secret_in_session(key_type, private=self.private, usages=usages)
        return {**template, Attribute.LABEL: self.label}

    def kept(self, algorithm: WrapAlgorithm) -> Template:
        """Return the template that keyhier makes an AES key with, but for the session only."""
        template = aes_key(self.label, self._id, algorithm, extractable=False, private=self.private)
        return {**template, Attribute.TOKEN: False}

    def known_aes_key(self, *usages: Attribute) -> AesKey:
        """Bring in an AES-256 key of a known value; generate one where the token takes none."""
        value = os.urandom(KeySpec.AES_256.size)
        template = {**self.secret(KeyType.AES, *usages), Attribute.VALUE: value}
        try:
            return AesKey(handle_of(self._keep(self._session.create_object(template))), value)
        except PKCS11Error:
            # Not to be read: it would be of no use, and FIPS mode makes no key that can be.
            unread = kept_in_session(usages, private=self.private)
            made = self.generate_aes_key(KeySpec.AES_256, {**unread, Attribute.LABEL: self.label})
            return AesKey(handle_of(made), None)

    def generate_aes_key(self, spec: KeySpec, template: Template) -> Object:
        """Generate an AES key on the token."""
        with trying("C_GenerateKey"):
            made = self._session.generate_key(
                KeyType.AES,
                spec.bits,
                capabilities=MechanismFlag(0),
                mechanism=Mechanism.AES_KEY_GEN,
                template=template,
            )
        return self._keep(made)

    def rsa_key(self) -> RsaKey:
        """Return the RSA-2048 key pair of this examination, made when it is first needed.

        It is generated on the token, or else brought in.
        """
        if self._rsa is None:
            self._rsa = self._make_rsa()
        return self._rsa

    def _make_rsa(self) -> RsaKey:
        template = rsa_private_key(self.label, self._id, extractable=False, private=self.private)
        template[Attribute.TOKEN] = False
        if Mechanism.RSA_PKCS_KEY_PAIR_GEN in self.listed:
            with trying("C_GenerateKeyPair"):
                return self._generate_rsa(template)
        with trying("C_CreateObject"):
            return self._bring_in_rsa(template)

    def _generate_rsa(self, template: Template) -> RsaKey:
        bits = KeySpec.RSA_2048.bits
        public, private = self._session.generate_keypair(
            KeyType.RSA,
            bits,
            capabilities=MechanismFlag(0),
            mechanism=Mechanism.RSA_PKCS_KEY_PAIR_GEN,
            public_template=rsa_public_key(self.label, self._id, bits),
            private_template=template,
        )
        self._made += [public, private]
        names = (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
        numbers = public.get_attributes(list(names))
        public_key = rsa.public_key_of(*(int.from_bytes(numbers[name]) for name in names))
        return RsaKey(handle_of(private), public_key, generated=True)

    def _bring_in_rsa(self, template: Template) -> RsaKey:
        key = software_rsa.generate_private_key(65537, KeySpec.RSA_2048.bits)
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        with SecretBytes(der) as material:
            parts = rsa.private_key_parts(material)
        made = self._keep(self._session.create_object({**template, **parts}))
        return RsaKey(handle_of(made), key.public_key(), generated=False)

    def _keep(self, made: Object) -> Object:
        self._made.append(made)
        return made

    def clear(self) -> None:
        """Destroy all that was made here.

        Raises:
            KeyhierError: the token refuses.
        """
        with trying("C_DestroyObject", "the token does not destroy what was made to try with"):
            while self._made:
                self._made.pop().destroy()

    def left_over(self) -> int:
        """Return how many of the objects that were made here, or for here, are there still."""
        connection = self.connection
        with trying("C_FindObjects"), connection.objects_lock, connection.session() as session:
            return len(search(session, {Attribute.LABEL: self.label}))


@contextmanager
def open_workbench(connection: Connection) -> Iterator[Workbench]:
    """Lend a workbench; nothing is left on it afterwards.

    Raises:
        KeyhierError: there is no session to be had, or the token does not destroy what was made.
    """

    def holding(login: Login) -> Login:
        connection.require_login(login)
        return login

    login = connection.recovering(holding)
    with ExitStack() as lent:
        with trying("C_OpenSession"):
            session = lent.enter_context(login.session())
        bench = Workbench(connection, login, session)
        yield bench
        bench.clear()
