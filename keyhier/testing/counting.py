"""A driver that passes every call on and remembers which were made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from keyhier import driver as interface
from keyhier.driver import Driver

__all__ = ["counted"]

_PROTOCOLS: Final = (
    interface.Driver,
    interface.SupportsImport,
    interface.SupportsExport,
    interface.SupportsRotation,
    interface.SupportsRotationPolicy,
    interface.SupportsTaggedRotation,
    interface.SupportsLifecycle,
    interface.SupportsSoftDelete,
    interface.SupportsBackup,
    interface.SupportsRandom,
    interface.SupportsDoctor,
    interface.SupportsUnwrapInto,
)


def counted(driver: Driver) -> tuple[Driver, list[str]]:
    """Return a driver that can do exactly what ``driver`` can, and the list of calls it fills.

    The list holds the names of the methods, in the order of the calls. Reading what a driver says
    of itself (its scheme, specs and algorithms) is no call.
    """
    calls: list[str] = []
    # A capability is recognised by its methods, so those that are missing stay missing.
    members = {
        name: _member(driver, name, calls)
        for protocol in _PROTOCOLS
        if isinstance(driver, protocol)
        for name in vars(protocol)
        if not name.startswith("_")
    }
    return cast("Driver", type("CountedDriver", (), members)()), calls


def _member(driver: Driver, name: str, calls: list[str]) -> object:
    if isinstance(vars(Driver).get(name), property):
        return property(lambda _: getattr(driver, name))
    method: Callable[..., object] = getattr(driver, name)

    def passed_on(_: object, *arguments: Any, **named: Any) -> object:
        calls.append(name)
        return method(*arguments, **named)

    return passed_on
