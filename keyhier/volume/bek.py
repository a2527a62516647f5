"""The layout of a .BEK file, BitLocker's external ("startup") key.

All numbers are little-endian, all offsets in bytes. GUIDs are mixed-endian, as Windows stores
them; times are FILETIMEs, counts of 100 ns since 1601-01-01 UTC. Source: libyal, *BitLocker Drive
Encryption (BDE) format specification*, https://github.com/libyal/libbde/tree/main/documentation,
and the bytes of real files.

======  ====  =====================================================================
offset  size  header
======  ====  =====================================================================
0       4     size of the whole file
4       4     version: 1
8       4     size of this header: 48
12      4     size of the whole file again
16      16    the key's identifier (GUID), which is also the file's name
32      4     next nonce counter: 1 in real files, kept
36      4     encryption method: 0 in real files, kept
40      8     when the key was made (FILETIME)
======  ====  =====================================================================

One entry fills the rest. An entry is: its size with these 8 bytes (2), entry type (2), value
type (2), version (2): 1, data. The outer one has entry type 0x0006 (startup key) and value type
0x0009 (external key); its data are the key's identifier again (16), when it was last changed
(8), and then the properties, which are entries themselves:

==========  ==========  =================================================================
entry type  value type  property
==========  ==========  =================================================================
0x0000      0x0002      description: UTF-16 with its terminating NUL
0x0019      0x0017      the volume's identifier (GUID); Windows 11
0x0000      0x0001      the key: method 0x2002, external key (4), and its 32 bytes
==========  ==========  =================================================================

Any other property is kept as it is. With the description ``ExternalKey`` a file has 156 bytes,
and 180 with the volume's identifier.

Reading is strict, because a file that reads half is a disk that does not open. Besides the size in
a sound header, no error shows a value that was read: in a damaged file it can be a part of the key.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import attrs

from keyhier.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEY_BYTES", "MAX_FILE_BYTES", "BekFields", "compose", "parse"]

KEY_BYTES: Final = 32
MAX_FILE_BYTES: Final = 64 * 1024

_HEADER: Final = struct.Struct("<IIII16sIIQ")
_ENTRY: Final = struct.Struct("<HHHH")
_EXTERNAL_KEY: Final = struct.Struct("<16sQ")
_METHOD: Final = struct.Struct("<I")

_VERSION: Final = 1
_STARTUP_KEY: Final = (0x0006, 0x0009)
_DESCRIPTION: Final = (0x0000, 0x0002)
_VOLUME_ID: Final = (0x0019, 0x0017)
_KEY: Final = (0x0000, 0x0001)
_KNOWN: Final = {
    _DESCRIPTION: "description",
    _VOLUME_ID: "volume identifier",
    _KEY: "key",
}
_METHOD_EXTERNAL_KEY: Final = 0x2002
_FIRST_NONCE_COUNTER: Final = 1

_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
# Control characters could rule the terminal that a description is shown on.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_DESCRIPTION: Final = 255


@attrs.frozen
class BekFields:
    """What a .BEK file says besides its key, and where the key stands.

    Attributes:
        identifier: the key's identifier.
        created: when it was made, in UTC.
        modified: when it was last changed, in UTC.
        description: what made it, or None where the file does not say.
        volume_id: the volume that it opens, or None where the file does not say.
        key_offset: where its 32 key bytes start.
    """

    identifier: UUID
    created: datetime
    modified: datetime
    description: str | None = None
    volume_id: UUID | None = None
    key_offset: int = 0


@attrs.frozen
class _Entry:
    offset: int
    kind: tuple[int, int]
    version: int
    end: int

    @property
    def start(self) -> int:
        """Where its data start."""
        return self.offset + _ENTRY.size


def parse(file: memoryview) -> BekFields:
    """Read a .BEK file.

    Raises:
        InvalidInputError: it is not one, byte for byte; the message says at which offset.
    """
    size = len(file)
    _require(size <= MAX_FILE_BYTES, 0, f"more than {MAX_FILE_BYTES} bytes")
    _require(size >= _HEADER.size, size, "its header is cut off")
    total, version, header, total_again, guid, _, _, created = _HEADER.unpack_from(file)
    _require(version == _VERSION, 4, "the version is not 1")
    _require(header == _HEADER.size, 8, "the header's size is not 48")
    _require(total_again == total, 12, "the two sizes in the header differ")
    # A number that stands there twice, in such a header, is a size and no part of the key.
    _require(total == size, 0, f"the header says {total} bytes, the file has {size}")

    outer = _read_entry(file, _HEADER.size, size)
    _require(outer.kind == _STARTUP_KEY, outer.offset + 2, "the entry is no external key")
    _require(outer.version == _VERSION, outer.offset + 6, "the entry's version is not 1")
    _require(outer.end == size, outer.end, "there are bytes after the external key")
    properties = outer.start + _EXTERNAL_KEY.size
    _require(outer.end >= properties, outer.end, "the external key is cut off")
    guid_again, modified = _EXTERNAL_KEY.unpack_from(file, outer.start)
    _require(guid_again == guid, outer.start, "the identifier is not the header's")

    known = _known_properties(file, properties, outer.end)
    _require(_KEY in known, properties, "there is no key")
    text, volume = known.get(_DESCRIPTION), known.get(_VOLUME_ID)
    return BekFields(
        identifier=UUID(bytes_le=guid),
        created=_moment(created, 40),
        modified=_moment(modified, outer.start + 16),
        description=_read_description(file, text) if text else None,
        volume_id=_read_volume_id(file, volume) if volume else None,
        key_offset=_read_key_offset(file, known[_KEY]),
    )


def compose(fields: BekFields, key: memoryview) -> bytearray:
    """Lay out a .BEK file of ``fields`` and the 32 bytes of ``key``; ``key_offset`` is ignored.

    Raises:
        InvalidInputError: a field has no place in such a file.
    """
    properties: list[tuple[tuple[int, int], bytes]] = []
    if fields.description is not None:
        properties.append((_DESCRIPTION, _encode_description(fields.description)))
    if fields.volume_id is not None:
        properties.append((_VOLUME_ID, fields.volume_id.bytes_le))
    # The key itself is copied into place at the end, so that the file is its only copy.
    properties.append((_KEY, _METHOD.pack(_METHOD_EXTERNAL_KEY) + bytes(KEY_BYTES)))

    guid = fields.identifier.bytes_le
    body = _EXTERNAL_KEY.pack(guid, _ticks(fields.modified))
    body += b"".join(_entry(kind, data) for kind, data in properties)
    entry = _entry(_STARTUP_KEY, body)
    total = _HEADER.size + len(entry)
    file = bytearray(
        _HEADER.pack(
            total,
            _VERSION,
            _HEADER.size,
            total,
            guid,
            _FIRST_NONCE_COUNTER,
            0,
            _ticks(fields.created),
        )
        + entry
    )
    file[total - KEY_BYTES :] = key
    return file


def _require(met: bool, offset: int, problem: str) -> None:  # noqa: FBT001  # Reads like a sentence.
    if not met:
        raise InvalidInputError(f"this is no .BEK file: {problem} (offset {offset})")


def _read_entry(file: memoryview, offset: int, end: int) -> _Entry:
    _require(end - offset >= _ENTRY.size, offset, "an entry's header is cut off")
    size, entry_type, value_type, version = _ENTRY.unpack_from(file, offset)
    _require(size >= _ENTRY.size, offset, "an entry's size is less than its header's")
    _require(size <= end - offset, offset, "an entry is cut off")
    return _Entry(offset, (entry_type, value_type), version, offset + size)


def _entries(file: memoryview, offset: int, end: int) -> Iterator[_Entry]:
    while offset < end:
        entry = _read_entry(file, offset, end)
        yield entry
        offset = entry.end


def _known_properties(file: memoryview, offset: int, end: int) -> dict[tuple[int, int], _Entry]:
    known: dict[tuple[int, int], _Entry] = {}
    for entry in _entries(file, offset, end):
        # Other programs look at a key's value type alone: no second one hides from them.
        key = entry.kind[1] == _KEY[1]
        _require(not key or entry.kind == _KEY, entry.offset + 2, "a key's entry type is not 0")
        if name := _KNOWN.get(entry.kind):
            _require(entry.kind not in known, entry.offset, f"there is a second {name}")
            _require(entry.version == _VERSION, entry.offset + 6, f"the {name}'s version is not 1")
            known[entry.kind] = entry
    return known


def _read_description(file: memoryview, entry: _Entry) -> str:
    encoded = file[entry.start : entry.end]
    whole = len(encoded) >= 2 and len(encoded) % 2 == 0 and not any(encoded[-2:])
    _require(whole, entry.start, "the description does not end with a UTF-16 NUL")
    try:
        text = str(encoded[:-2], "utf-16-le")
    except UnicodeDecodeError:
        text = None
    # Outside of the handler, whose exception would carry the bytes.
    if text is None or _CONTROL.search(text):
        raise InvalidInputError(
            "this is no .BEK file: the description is no UTF-16 text without control characters"
            f" (offset {entry.start})"
        )
    return text


def _encode_description(text: str) -> bytes:
    if len(text) > _MAX_DESCRIPTION or _CONTROL.search(text):
        raise InvalidInputError(
            f"a description has at most {_MAX_DESCRIPTION} characters and no control characters"
        )
    try:
        return f"{text}\0".encode("utf-16-le")
    except UnicodeEncodeError:
        raise InvalidInputError("a description is text that UTF-16 can hold") from None


def _read_volume_id(file: memoryview, entry: _Entry) -> UUID:
    _require(entry.end - entry.start == 16, entry.offset, "the volume identifier has not 16 bytes")
    return UUID(bytes_le=bytes(file[entry.start : entry.end]))


def _read_key_offset(file: memoryview, entry: _Entry) -> int:
    offset = entry.start + _METHOD.size
    _require(entry.end == offset + KEY_BYTES, entry.offset, "the key has not 32 bytes")
    (method,) = _METHOD.unpack_from(file, entry.start)
    _require(method == _METHOD_EXTERNAL_KEY, entry.start, "the key's method is not 0x2002")
    return offset


def _entry(kind: tuple[int, int], data: bytes) -> bytes:
    return _ENTRY.pack(_ENTRY.size + len(data), *kind, _VERSION) + data


def _moment(ticks: int, offset: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        raise InvalidInputError(
            f"this is no .BEK file: a time is after the year 9999 (offset {offset})"
        ) from None


def _ticks(moment: datetime) -> int:
    if moment.utcoffset() is None or moment < _EPOCH:
        raise InvalidInputError("a key's time has a time zone and is not before 1601")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10
