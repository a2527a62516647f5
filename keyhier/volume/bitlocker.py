"""BitLockerKey: the external ("startup") key of a BitLocker volume, a .BEK file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self
from uuid import UUID, uuid4

import attrs

from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.secret_file import read_secret_file, write_secret_file
from keyhier.volume import bek
from keyhier.volume.entropy import draw
from keyhier.volume.volume_key import VolumeKey, copied

if TYPE_CHECKING:
    import os

    from keyhier.secret import RandomSource

__all__ = ["ADE_DESCRIPTION", "DEFAULT_DESCRIPTION", "BitLockerKey"]

DEFAULT_DESCRIPTION: Final = "ExternalKey"
"""What BitLocker's own tools write."""

ADE_DESCRIPTION: Final = "BitLocker Extension Key Protector"
"""What Azure Disk Encryption writes."""


@attrs.frozen(eq=False, repr=False)
class BitLockerKey(VolumeKey):
    """A BitLocker external key, with all that its .BEK file says.

    Made by :meth:`generate`, :meth:`from_bytes`, :meth:`read` and :meth:`from_parts`. The file
    is kept byte for byte, and with it what keyhier does not know. After :meth:`wipe` only the
    key is gone: the identifier and the other fields stay readable.
    """

    content_type: ClassVar[str] = "vnd.keyhier.bitlocker"

    _fields: bek.BekFields

    @classmethod
    def generate(
        cls,
        *,
        random: RandomSource | None = None,
        description: str = DEFAULT_DESCRIPTION,
        volume_id: UUID | None = None,
    ) -> Self:
        """Make a new key: 32 random bytes and a random identifier.

        Args:
            random: where the key's bytes come from, such as a vault; the operating system if None.
            description: :data:`DEFAULT_DESCRIPTION`, :data:`ADE_DESCRIPTION`, or any text.
            volume_id: the volume's identifier, which Windows 11 adds; left out if None. Give the
                true one or none: cryptsetup refuses a file that names another volume, and
                dislocker 0.7.3 crashes on any.

        Raises:
            IntegrityError: the random source gave too few bytes, or only zeros.
            InvalidInputError: the description is too long or has control characters.
        """
        with draw(bek.KEY_BYTES, random) as key:
            return cls.from_parts(uuid4(), key, description=description, volume_id=volume_id)

    @classmethod
    def from_parts(
        cls,
        identifier: UUID,
        key: SecretBytes | bytes | bytearray,
        *,
        description: str | None = DEFAULT_DESCRIPTION,
        volume_id: UUID | None = None,
        created: datetime | None = None,
    ) -> Self:
        """Make the file again from the key's identifier and its 32 bytes; nothing else is needed.

        Args:
            identifier: the key protector's identifier, which the volume knows
                (``manage-bde -protectors -get``, ``bdeinfo``).
            key: the 32 bytes, copied.
            description, volume_id: as for :meth:`generate`; None leaves them out.
            created: when the key was made, with a time zone; now if None.

        Raises:
            InvalidInputError: the key has not 32 bytes, or a part has no place in such a file.
        """
        if len(key) != bek.KEY_BYTES:
            raise InvalidInputError(f"a BitLocker key has {bek.KEY_BYTES} bytes, not {len(key)}")
        moment = datetime.now(UTC) if created is None else created
        fields = bek.BekFields(identifier, moment, moment, description, volume_id)
        with copied(key) as copy:
            return cls._adopt(SecretBytes.adopt(bek.compose(fields, copy.view())))

    @classmethod
    def from_bytes(cls, source: SecretBytes | bytes | bytearray) -> Self:
        """Read a copy of a .BEK file's content; the caller remains responsible for ``source``.

        Raises:
            InvalidInputError: it is no .BEK file, byte for byte; the message says at which offset.
        """
        return cls._adopt(copied(source))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a .BEK file. Its name is not looked at: the identifier is inside.

        Raises:
            InvalidInputError: as :meth:`from_bytes`.
            NotFoundError, AccessDeniedError, UnavailableError: the file cannot be read.
        """
        return cls._adopt(read_secret_file(path, limit=bek.MAX_FILE_BYTES))

    @classmethod
    def _adopt(cls, file: SecretBytes) -> Self:
        try:
            return cls(file, bek.parse(file.view()))
        except InvalidInputError:
            file.wipe()
            raise

    @property
    def identifier(self) -> UUID:
        """The key's identifier, by which the volume knows it."""
        return self._fields.identifier

    @property
    def filename(self) -> str:
        """The name that Windows looks for: the identifier in upper case, and ``.BEK``."""
        return f"{str(self.identifier).upper()}.BEK"

    @property
    def description(self) -> str | None:
        """What made the key, or None where the file does not say."""
        return self._fields.description

    @property
    def volume_id(self) -> UUID | None:
        """The volume that it opens, or None where the file does not say."""
        return self._fields.volume_id

    @property
    def created(self) -> datetime:
        """When the key was made, in UTC, in microseconds; the file has tenths of them."""
        return self._fields.created

    @property
    def modified(self) -> datetime:
        """When it was last changed, in UTC, in microseconds; the file has tenths of them."""
        return self._fields.modified

    @property
    def key(self) -> SecretBytes:
        """The 32 bytes of the key, in a new buffer that the caller wipes."""
        start = self._fields.key_offset
        return SecretBytes(self._content.view()[start : start + bek.KEY_BYTES])

    def write(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the file to ``folder`` as :attr:`filename` with mode 0600, and return its path.

        Raises:
            AlreadyExistsError: the folder has such a file and ``overwrite`` is false.
            NotFoundError, AccessDeniedError, InvalidInputError, UnavailableError: as
                :func:`~keyhier.secret_file.write_secret_file`.
        """
        path = Path(folder) / self.filename
        write_secret_file(path, self._content, overwrite=overwrite)
        return path

    def __repr__(self) -> str:
        state = ": wiped" if self._content.wiped else ""
        return f"<BitLockerKey {str(self.identifier).upper()} {self.description!r}{state}>"
