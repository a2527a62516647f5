"""How pytest collects a subclass of the contract: with its deviations, or not at all."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence

import pytest

from keyhier.errors import InvalidInputError
from keyhier.testing.contract import Harness
from keyhier.testing.deviations import Deviation, read_deviations

__all__ = ["ContractClass"]


class ContractClass(pytest.Class):
    """A subclass of :class:`~keyhier.testing.contract.Harness` as pytest's tree holds it."""

    @classmethod
    def instead_of(cls, found: pytest.Class) -> pytest.Class:
        """Return a contract's own collector in place of ``found``, which else stays."""
        if not issubclass(found.obj, Harness):
            return found
        made: pytest.Class = cls.from_parent(found.parent, name=found.name, obj=found.obj)
        return made

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Return the tests, those with a deviation marked as expected to fail.

        Raises:
            CollectError: there is no vault to test, or a deviation is malformed or names no test.
        """
        deviations = (*self.obj.deviations, *self._given())
        items = list(super().collect())
        for deviation in deviations:
            meant = [item for item in items if deviation.test in _names(item)]
            if not meant:
                raise self.CollectError(
                    f"the deviation {deviation.test!r} names no test of the contract"
                )
            for item in meant:
                item.add_marker(deviation.mark)
        return items

    def _given(self) -> Sequence[Deviation]:
        """Return the command line's deviations, which belong to the command line's vault."""
        declared = inspect.getattr_static(self.obj, "vault_uri")
        if declared is not inspect.getattr_static(Harness, "vault_uri"):
            return ()
        if self.config.getoption("--keyhier-vault") is None:
            raise self.CollectError(
                "the contract needs a vault: give --keyhier-vault URI, "
                "or override the fixture vault_uri"
            )
        source = self.config.getoption("--keyhier-deviations")
        try:
            return read_deviations(source) if source else ()
        except InvalidInputError as error:
            raise self.CollectError(str(error)) from None


def _names(item: pytest.Item | pytest.Collector) -> Iterator[str]:
    yield item.name
    if isinstance(item, pytest.Function):
        yield item.originalname
