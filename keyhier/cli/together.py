"""Files that appear together or not at all, such as a key and the envelope that holds it."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from keyhier.errors import AccessDeniedError, AlreadyExistsError, InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.secret_file import sync_folder, write_secret_file

__all__ = ["Together"]


@attrs.define
class Together:
    """A context manager for files that are written whole first and named later.

    :meth:`add` writes a file under a temporary name beside its own; :meth:`publish` gives all of
    them their names. Where anything fails until the block ends, what stood there before stands
    there again, and nothing new does. Then no temporary file is left either way.

    Attributes:
        force: whether files that are there are replaced.
    """

    force: bool = attrs.field(kw_only=True)
    _written: dict[Path, Path] = attrs.field(init=False, factory=dict)
    _hidden: list[Path] = attrs.field(init=False, factory=list)
    _undo: ExitStack = attrs.field(init=False, factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as tidy:
            for path in self._hidden:
                tidy.callback(path.unlink, missing_ok=True)
            if kind is not None:
                self._undo.close()

    def add(self, path: Path, content: SecretBytes) -> None:
        """Write a file that has no name yet; it gets mode 0600.

        Raises:
            AlreadyExistsError: there is something at ``path`` and ``force`` is false.
            InvalidInputError: there is a folder, a device or another special file at ``path``.
            NotFoundError, AccessDeniedError, UnavailableError: as
                :func:`~keyhier.secret_file.write_secret_file`.
        """
        self._check(path)
        temporary = self._beside(path)
        write_secret_file(temporary, content)
        self._written[path] = temporary

    def publish(self) -> None:
        """Give every file its name.

        Raises:
            AlreadyExistsError: another process has taken one of the names since.
            AccessDeniedError: the folder lets nobody replace the file that is there.
        """
        for path, temporary in self._written.items():
            try:
                self._name(path, temporary)
            except FileExistsError:
                raise _exists(path) from None
            except PermissionError as refusal:
                raise AccessDeniedError(
                    f"the file {path} cannot be replaced: {refusal.strerror}"
                ) from None
        for folder in {path.parent for path in self._written}:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_folder(handle)
            finally:
                os.close(handle)

    def _check(self, path: Path) -> None:
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            # Where it is the folder that is missing or refuses, writing into it says so.
            return
        except (OSError, ValueError):
            raise InvalidInputError(f"{path} is no name that a file can have") from None
        if not self.force:
            raise _exists(path)
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise InvalidInputError(f"{path} is no ordinary file, and is left as it is")

    def _name(self, path: Path, temporary: Path) -> None:
        if self.force:
            self._keep(path)
        else:
            # Unlike a rename, this never replaces what another process has put there since.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._undo.callback(path.unlink)
        temporary.rename(path)

    def _keep(self, path: Path) -> None:
        """Keep what is at ``path``, under another name, too, until all is done."""
        kept = self._beside(path)
        try:
            os.link(path, kept, follow_symlinks=False)
        except FileNotFoundError:
            self._undo.callback(path.unlink, missing_ok=True)
            return
        except OSError:
            # Some file systems have no hard links, and some files are refused one.
            path.rename(kept)
        self._undo.callback(kept.rename, path)

    def _beside(self, path: Path) -> Path:
        hidden = path.with_name(f".keyhier-{secrets.token_hex(8)}")
        self._hidden.append(hidden)
        return hidden


def _exists(path: Path) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"the file {path} is there already", remedy="choose another name, or allow overwriting"
    )
