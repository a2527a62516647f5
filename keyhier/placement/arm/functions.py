"""The functions of ARM templates that can be told without a deployment.

https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions. Each gets
values that are known; members of lists and objects may be UNKNOWN. What cannot be done with what is
given raises an InvalidInputError, and a result that depends on something unknown is UNKNOWN.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from keyhier.errors import InvalidInputError
from keyhier.placement.arm.values import (
    as_flag,
    as_list,
    as_number,
    as_object,
    as_text,
    equal,
    member,
    shown_as_text,
    written,
)
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = ["FUNCTIONS", "is_known_name"]

_MAX_TEXT: Final = 131_072
_MAX_ITEMS: Final = 10_000
_MAX_NUMBER: Final = 2**63
_FORMAT: Final = re.compile(r"\{\{|\}\}|\{(?P<number>[0-9]{1,3})(?P<form>[:,][^{}]*)?\}")

# Functions that there are, and whose value only a deployment knows, or that are not told here.
_NOT_EVALUATED: Final = frozenset(
    {
        *("base64", "base64tojson", "base64tostring", "cidrhost", "cidrsubnet", "datauri"),
        *("datauritostring", "datetimeadd", "datetimefromepoch", "datetimetoepoch", "deployer"),
        *("deployment", "environment", "externalinput", "filter", "getsecret", "groupby", "guid"),
        *("lambda", "lambdavariables", "managementgroup", "managementgroupresourceid", "map"),
        *("mapvalues", "newguid", "objectkeys", "parsecidr", "pickzones", "providers", "reduce"),
        *("reference", "references", "sort", "tologicalzone", "tologicalzones"),
        *("toobject", "tophysicalzone", "tophysicalzones", "try", "tryindexfromend", "uri"),
        *("uniquestring", "uricomponent", "uricomponenttostring", "utcnow"),
    }
)


def is_known_name(name: str) -> bool:
    """Whether there is such a function, in lower case, that needs nothing of its template."""
    return name in FUNCTIONS or name in _NOT_EVALUATED or name.startswith("list")


def _concat(*given: Any) -> object:
    if given and isinstance(given[0], list):
        return [item for each in given for item in as_list(each)]
    shown = [shown_as_text(each) for each in given]
    known = [each for each in shown if not isinstance(each, Unknown)]
    return "".join(known) if len(known) == len(shown) else UNKNOWN


def _format(form: str, *given: Any) -> Maybe[str]:
    unknown = False

    def filled(found: re.Match[str]) -> str:
        nonlocal unknown
        if found[0] in {"{{", "}}"}:
            return found[0][0]
        number = int(found["number"])
        if number >= len(given):
            raise InvalidInputError(f"format has no value number {number}")
        shown = shown_as_text(given[number])
        # .NET's own forms of numbers and dates are not told here.
        unknown = unknown or isinstance(shown, Unknown) or bool(found["form"])
        return "" if isinstance(shown, Unknown) else shown

    text = _FORMAT.sub(filled, as_text(form))
    return UNKNOWN if unknown else text


def _contains(of: Any, what: Any) -> Maybe[bool]:
    if isinstance(of, dict):
        return any(name.casefold() == as_text(what).casefold() for name in of)
    if isinstance(of, list):
        found = [equal(each, what) for each in of]
        return True if True in found else UNKNOWN if UNKNOWN in found else False
    return as_text(what) in as_text(of)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise InvalidInputError("a text, an array or an object belongs here")
    return len(value)


def _split(text: Any, by: Any) -> list[str]:
    marks = [as_text(each) for each in (by if isinstance(by, list) else [by]) if each != ""]
    if not marks:
        return [as_text(text)]
    return re.split("|".join(map(re.escape, marks)), as_text(text))


def _join(items: Any, by: Any) -> Maybe[str]:
    shown = [shown_as_text(each) for each in as_list(items)]
    known = [each for each in shown if not isinstance(each, Unknown)]
    return as_text(by).join(known) if len(known) == len(shown) else UNKNOWN


def _ends(items: Any, number: int) -> object:
    if isinstance(items, str):
        return items[number : number + 1 or None]
    found = as_list(items)
    return found[number] if found else None


def _take(items: Any, count: Any) -> object:
    many = max(as_number(count), 0)
    return items[:many] if isinstance(items, str) else as_list(items)[:many]


def _skip(items: Any, count: Any) -> object:
    many = max(as_number(count), 0)
    return items[many:] if isinstance(items, str) else as_list(items)[many:]


def _substring(text: Any, start: Any, length: Any = None) -> str:
    whole, begin = as_text(text), as_number(start)
    end = len(whole) if length is None else begin + as_number(length)
    if not 0 <= begin <= end <= len(whole):
        raise InvalidInputError("substring reaches beyond the text")
    return whole[begin:end]


def _union(*given: Any) -> object:
    if given and isinstance(given[0], list):
        found: list[Any] = []
        for each in (item for items in given for item in as_list(items)):
            same = [equal(each, other) for other in found]
            if UNKNOWN in same:
                return UNKNOWN
            if True not in same:
                found.append(each)
        return found
    return _merge(given)


def _merge(objects: Sequence[object]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for each in objects:
        merged |= as_object(each)
    return merged


def _shallow_merge(objects: Any) -> object:
    return UNKNOWN if UNKNOWN in as_list(objects) else _merge(objects)


def _create_object(*given: Any) -> object:
    if len(given) % 2:
        raise InvalidInputError("createObject takes names and values in pairs")
    if any(isinstance(name, Unknown) for name in given[::2]):
        return UNKNOWN
    return {as_text(name): value for name, value in zip(given[::2], given[1::2], strict=True)}


def _json(text: Any) -> object:
    try:
        return json.loads(as_text(text))
    except (ValueError, RecursionError):
        raise InvalidInputError("json is given what is no JSON") from None


def _integer(value: Any) -> int:
    try:
        return int(value) if isinstance(value, str) and len(value) < 20 else as_number(value)
    except ValueError:
        raise InvalidInputError("int is given what is no number") from None


def _range(start: Any, count: Any) -> list[int]:
    if not 0 <= as_number(count) <= _MAX_ITEMS:
        raise InvalidInputError(f"a range has at most {_MAX_ITEMS} numbers")
    return list(range(as_number(start), as_number(start) + count))


def _divide(one: Any, other: Any, *, rest: bool = False) -> int:
    number, by = as_number(one), as_number(other)
    if by == 0:
        raise InvalidInputError("nothing can be divided by 0")
    quotient = abs(number) // abs(by) * (1 if (number < 0) == (by < 0) else -1)
    return number - quotient * by if rest else quotient


def _compare(one: Any, other: Any) -> int:
    if isinstance(one, str):
        return (one > as_text(other)) - (one < as_text(other))
    number, another = as_number(one), as_number(other)
    return (number > another) - (number < another)


def _extreme(choose: Callable[[Any], int], given: tuple[Any, ...]) -> Maybe[int]:
    numbers = as_list(given[0]) if len(given) == 1 and isinstance(given[0], list) else list(given)
    if UNKNOWN in numbers:
        return UNKNOWN
    if not numbers:
        raise InvalidInputError("there is no number")
    return choose([as_number(each) for each in numbers])


def _pad_left(value: Any, length: Any, mark: Any = " ") -> str:
    shown = str(value)
    if as_number(length) > _MAX_TEXT:
        raise InvalidInputError("a text cannot be that long")
    return shown.rjust(length, as_text(mark) or " ")


def _items(value: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": each} for key, each in sorted(as_object(value).items())]


def _intersection(one: Any, *given: Any) -> object:
    if any(written(each) is UNKNOWN for each in (one, *given)):
        return UNKNOWN
    if isinstance(one, list):
        rest = [as_list(each) for each in given]
        return [item for item in one if all(item in each for each in rest)]
    rest_objects = [as_object(each) for each in given]
    return {
        name: value
        for name, value in as_object(one).items()
        if all(name in each and each[name] == value for each in rest_objects)
    }


def _fail(message: Any) -> object:
    raise InvalidInputError(f"the template fails here: {as_text(message)!r:.200}")


def _try_get(of: Any, *keys: Any) -> object:
    for key in keys:
        if of is None:
            return None
        of = member(of, key, optional=True)
    return of


_PURE: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        "add": lambda one, other: as_number(one) + as_number(other),
        "array": lambda value: value if isinstance(value, list) else [value],
        "bool": lambda value: bool(value) if isinstance(value, int) else as_flag(value),
        "concat": _concat,
        "contains": _contains,
        "createarray": lambda *items: list(items),
        "createobject": _create_object,
        "div": _divide,
        "empty": _empty,
        "endswith": lambda text, end: as_text(text).casefold().endswith(as_text(end).casefold()),
        "equals": equal,
        "fail": _fail,
        "false": lambda: False,
        "first": lambda items: _ends(items, 0),
        "flatten": lambda lists: [item for each in as_list(lists) for item in as_list(each)],
        "float": lambda value: value,
        "format": _format,
        "greater": lambda one, other: _compare(one, other) > 0,
        "greaterorequals": lambda one, other: _compare(one, other) >= 0,
        "indexof": lambda text, part: as_text(text).casefold().find(as_text(part).casefold()),
        "int": _integer,
        "intersection": _intersection,
        "items": _items,
        "join": _join,
        "json": _json,
        "last": lambda items: _ends(items, -1),
        "lastindexof": lambda text, part: as_text(text).casefold().rfind(as_text(part).casefold()),
        "length": _length,
        "less": lambda one, other: _compare(one, other) < 0,
        "lessorequals": lambda one, other: _compare(one, other) <= 0,
        "max": lambda *given: _extreme(max, given),
        "min": lambda *given: _extreme(min, given),
        "mod": lambda one, other: _divide(one, other, rest=True),
        "mul": lambda one, other: as_number(one) * as_number(other),
        "null": lambda: None,
        "padleft": _pad_left,
        "range": _range,
        "replace": lambda text, old, new: as_text(text).replace(as_text(old), as_text(new)),
        "shallowmerge": _shallow_merge,
        "skip": _skip,
        "split": _split,
        "startswith": lambda text, start: (
            as_text(text).casefold().startswith(as_text(start).casefold())
        ),
        "string": shown_as_text,
        "sub": lambda one, other: as_number(one) - as_number(other),
        "substring": _substring,
        "take": _take,
        "tolower": lambda text: as_text(text).lower(),
        "toupper": lambda text: as_text(text).upper(),
        "trim": lambda text: as_text(text).strip(),
        "true": lambda: True,
        "tryget": _try_get,
        "union": _union,
    }
)

# These take what is unknown among their arguments; the others are unknown with any of them.
_TAKES_UNKNOWN: Final = frozenset({"createarray", "createobject", "equals", "array"})


def _bounded(value: object) -> object:
    """Return a value that is not too large to be worked with."""
    left = _MAX_TEXT
    waiting = [value]
    while waiting:
        each = waiting.pop()
        left -= 1 + (len(each) if isinstance(each, str | list | dict) else 0)
        if left < 0 or (isinstance(each, int) and abs(each) > _MAX_NUMBER):
            raise InvalidInputError("the value is too large")
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
    return value


def _called(name: str, function: Callable[..., object]) -> Callable[..., object]:
    signature = inspect.signature(function)

    def call(*given: object) -> object:
        if name not in _TAKES_UNKNOWN and UNKNOWN in [
            each for each in given if isinstance(each, Unknown)
        ]:
            return UNKNOWN
        try:
            arguments = signature.bind(*given)
        except TypeError:
            raise InvalidInputError(f"{name} is given too many values, or too few") from None
        return _bounded(function(*arguments.args))

    return call


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {name: _called(name, function) for name, function in _PURE.items()}
)
"""The functions by their names in lower case."""
