"""Opening a store of records by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyhier.errors import UnsupportedError
from keyhier.records.url import RecordsUrl

if TYPE_CHECKING:
    from keyhier.records.sql.store import SqlRecords

__all__ = ["open_records"]


def open_records(url: str, *, read_only: bool = False) -> SqlRecords:
    """Open the store of records that ``url`` names, and migrate an older schema.

    Args:
        url: ``sqlite:/path/to/file`` (made if it is not there), ``postgresql://host/database``, or
            ``memory:``, which is a new and empty one. No password stands in it: for PostgreSQL it
            comes from ``password-source=file:/path``, from libpq's own places (``PGPASSWORD``, a
            pgpass file, a service file), or none is needed. A server on another machine has to show
            a certificate for its name (``sslmode=verify-full``), unless ``sslmode`` is given.
        read_only: whether any change is refused, by the database itself.

    Raises:
        InvalidInputError: the URL is malformed, or holds a password.
        UnsupportedError: the schema is newer than this code, or a package is not installed.
        NotFoundError: the file or database is not there.
        InvalidStateError: it is to be read only, and there is no schema yet or an older one.
        AuthenticationError, AccessDeniedError, UnavailableError: it cannot be used.
        IntegrityError: it is no database, or damaged.
    """
    parsed = RecordsUrl.parse(url)
    try:
        # The SQL toolkit is loaded only where somebody keeps records.
        from keyhier.records.sql.store import SqlRecords  # noqa: PLC0415

        return SqlRecords.open(parsed, read_only=read_only)
    except ModuleNotFoundError as error:
        missing = error.name or ""
    if missing.startswith("keyhier"):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
    raise UnsupportedError(
        f"a store of records needs the package {missing}, which is not installed",
        remedy="pip install 'keyhier[sql]'",
    )
