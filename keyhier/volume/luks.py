"""The passphrase of a LUKS volume, as Azure Disk Encryption makes it or as the user chose it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final, Self

import attrs

from keyhier import padded_base64
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.secret_file import read_secret_file, write_secret_file
from keyhier.volume.entropy import draw
from keyhier.volume.volume_key import VolumeKey, copied

if TYPE_CHECKING:
    import os

    from keyhier.secret import RandomSource

__all__ = ["MAX_PASSPHRASE_BYTES", "LinuxPassphrase"]

MAX_PASSPHRASE_BYTES: Final = 512
"""What cryptsetup takes at a prompt (``cryptsetup --help``), so that every one can be typed."""

# What Azure Disk Encryption draws for a Linux volume; in base64 it has 172 characters.
_RANDOM_BYTES: Final = 127
_UNTYPABLE: Final = re.compile(rb"[\0\r\n]")


@attrs.frozen(eq=False, repr=False)
class LinuxPassphrase(VolumeKey):
    """A passphrase that a LUKS volume opens with, at a prompt or as the content of a key file.

    It has 1 to 512 bytes, none of them a NUL or a line break, which nobody can type at a
    prompt and which ``cryptsetup --key-file`` would take as part of it. A binary key file is
    no passphrase: wrap its bytes as they are.

    Made by :meth:`generate`, :meth:`from_text`, :meth:`from_bytes` and :meth:`read`.
    """

    content_type: ClassVar[str] = "vnd.keyhier.luks"

    @classmethod
    def generate(cls, random: RandomSource | None = None) -> Self:
        """Make a passphrase as Azure Disk Encryption does: 127 random bytes in base64 (RFC 4648).

        Args:
            random: where the bytes come from, such as a vault; the operating system if None.

        Raises:
            IntegrityError: the source gave too few bytes, or only zeros.
        """
        with draw(_RANDOM_BYTES, random) as drawn:
            return cls(padded_base64.encode(drawn.view()))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Take a passphrase of the user's own, in UTF-8 and exactly as it is given.

        A ``str`` cannot be wiped: prefer :meth:`from_bytes` or :meth:`read` where you can.

        Raises:
            InvalidInputError: as :meth:`from_bytes`, or the text cannot be UTF-8.
        """
        try:
            encoded = bytearray(text, "utf-8")
        except UnicodeEncodeError:
            # The cause would carry the passphrase.
            encoded = None
        if encoded is None:
            raise InvalidInputError("a passphrase is text that UTF-8 can hold")
        return cls._checked(SecretBytes.adopt(encoded))

    @classmethod
    def from_bytes(cls, source: SecretBytes | bytes | bytearray) -> Self:
        """Take a copy of a passphrase; the caller remains responsible for ``source``.

        Raises:
            InvalidInputError: it is empty, longer than 512 bytes, or holds a NUL or a line break.
        """
        return cls._checked(copied(source))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a passphrase that stands in a file, alone and without a line break.

        Raises:
            InvalidInputError: as :meth:`from_bytes`.
            NotFoundError, AccessDeniedError, UnavailableError: the file cannot be read.
        """
        return cls._checked(read_secret_file(path, limit=MAX_PASSPHRASE_BYTES))

    @classmethod
    def _checked(cls, text: SecretBytes) -> Self:
        try:
            _check(text.view())
        except InvalidInputError:
            text.wipe()
            raise
        return cls(text)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the passphrase to a file of mode 0600, without a line break.

        Such a file is what ``cryptsetup --key-file`` takes.

        Raises:
            AlreadyExistsError: there is something at ``path`` and ``overwrite`` is false.
            NotFoundError, AccessDeniedError, InvalidInputError, UnavailableError: as
                :func:`~keyhier.secret_file.write_secret_file`.
        """
        write_secret_file(path, self._content, overwrite=overwrite)

    def __repr__(self) -> str:
        return "<LinuxPassphrase: wiped>" if self._content.wiped else "<LinuxPassphrase>"


def _check(text: memoryview) -> None:
    if len(text) == 0:
        raise InvalidInputError("a passphrase is not empty")
    if len(text) > MAX_PASSPHRASE_BYTES:
        raise InvalidInputError(
            f"a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes",
            remedy="wrap a binary key file as plain bytes",
        )
    if text[-1] in b"\r\n":
        raise InvalidInputError(
            "the passphrase ends with a line break, which cryptsetup would take as part of it",
            remedy="write it without one: `printf %s`, not `echo`",
        )
    if _UNTYPABLE.search(text):
        raise InvalidInputError(
            "a passphrase is one line without a NUL, or it could not be typed",
            remedy="wrap a binary key file as plain bytes",
        )
