"""As much of protobuf and of gRPC's framing as the questions and the verdicts need."""

import struct
from typing import Any, Iterator


def varint(value: int) -> bytes:
    """A base-128 number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field that is a number; left out where it is 0."""
    return varint(field << 3) + varint(value) if value else b""


def nested(field: int, value: bytes) -> bytes:
    """A field that is a message, also where that is empty."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A field that is text; left out where it is empty."""
    return nested(field, value.encode()) if value else b""


def join(*fields: bytes) -> bytes:
    """A message of these fields."""
    return b"".join(fields)


def value(data: Any) -> bytes:
    """A google.protobuf.Value."""
    match data:
        case bool():
            return varint(4 << 3) + varint(int(data))
        case int() | float():
            return varint(2 << 3 | 1) + struct.pack("<d", data)
        case str():
            return nested(3, data.encode())
        case dict():
            return nested(5, fields(1, data))
        case list() | tuple():
            return nested(6, join(*(nested(1, value(one)) for one in data)))
    raise TypeError(f"no Value of {data!r}")


def fields(field: int, data: dict[str, Any]) -> bytes:
    """A map of text to google.protobuf.Value."""
    return join(*(nested(field, text(1, key) + nested(2, value(one))) for key, one in data.items()))


def frame(message: bytes) -> bytes:
    """A message as gRPC sends it."""
    return b"\0" + struct.pack(">I", len(message)) + message


def unframe(body: bytes) -> bytes:
    """The one message of a gRPC body."""
    if len(body) < 5 or body[0] != 0 or len(body) != 5 + struct.unpack(">I", body[1:5])[0]:
        raise ValueError(f"not one gRPC message: {body[:40]!r}")
    return body[5:]


def read(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number, and value as it stands."""
    at = 0

    def count() -> int:
        nonlocal at
        shift = found = 0
        while True:
            byte = message[at]
            at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found
            shift += 7

    while at < len(message):
        key = count()
        match key & 7:
            case 0:
                yield key >> 3, count()
            case 1 | 5:
                size = 8 if key & 7 == 1 else 4
                yield key >> 3, message[at : at + size]
                at += size
            case _:
                size = count()
                yield key >> 3, message[at : at + size]
                at += size


def first(message: bytes, field: int) -> int | bytes | None:
    """The first value of a field."""
    return next((found for key, found in read(message) if key == field), None)
