"""Frames in a pipe between an engine and the processes beside it: length, kind (a piece, or a JSON object), bytes."""

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Told: TypeAlias = dict[str, Any]

HEAD: Final = struct.Struct(">IB")
PIECE, TOLD = 0, 1


def write_frame(out: int, frame: bytes | Mapping[str, Any]) -> None:
    """Write a frame to the file descriptor `out`, whole."""
    kind, content = (
        (PIECE, frame) if isinstance(frame, bytes) else (TOLD, json.dumps(frame).encode())
    )
    rest = memoryview(HEAD.pack(len(content), kind) + content)
    while rest:
        rest = rest[os.write(out, rest) :]
