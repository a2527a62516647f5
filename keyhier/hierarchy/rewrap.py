"""One record under another key: opened, wrapped anew, opened again and compared."""

from __future__ import annotations

from keyhier.errors import (
    CapacityError,
    IntegrityError,
    KeyhierError,
    ThrottledError,
    UnavailableError,
    UnwrapError,
)
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.kek_use import KekUse
from keyhier.records.record import Record
from keyhier.wrapped import WrappedKey

__all__ = ["TargetRefusedError", "rewrap"]


class TargetRefusedError(Exception):
    """The key that everything is to be wrapped under cannot be used; no other record would fare
    better.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: KeyhierError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def rewrap(record: Record, source: KekUse, target: KekUse) -> WrappedKey:
    """Return a new envelope of what is in a record: same secret, context and content type.

    The record and its store are left as they are.

    Raises:
        IntegrityError: the record contradicts itself, or the new envelope does not hold what it
            should.
        UnwrapError: the envelope does not open.
        TargetRefusedError: the target cannot be used.
        NotFoundError, InvalidStateError, UnavailableError, …: as :meth:`Key.unwrap` of the source.
    """
    context = context_of(record)
    before = record.wrapped
    with source.unwrap(before, context=context) as secret:
        try:
            made = target.wrap(secret, context=context, content_type=before.content_type)
            with target.unwrap(made, context=context) as again:
                same = again == secret
        except UnwrapError:
            same = False
        except (CapacityError, IntegrityError, ThrottledError, UnavailableError):
            raise
        except KeyhierError as reason:
            raise TargetRefusedError(reason) from None
    if not same:
        raise IntegrityError(f"what {target.id} wrapped for record {record.id} does not open again")
    return made
