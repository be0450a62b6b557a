"""Decides which names a store can hold, before anything is written that would have to bear them."""

from __future__ import annotations

FOLDER_BYTES_MAX = 255
"""Of one name, on every file system in common use."""

KEY_BYTES_MAX = 1024
"""Of a whole key, on S3."""


def too_long(scheme: str, key: str) -> str | None:
    """Why a store of this scheme cannot hold an object of this name; None where it can."""
    if scheme == "file":
        longest = max((len(name.encode()) for name in key.split("/")), default=0)
        if longest > FOLDER_BYTES_MAX:
            return f"a name in it has {longest} bytes, and a file system takes {FOLDER_BYTES_MAX}"
    size_bytes = len(key.partition("/")[2].encode())
    if scheme == "s3" and size_bytes > KEY_BYTES_MAX:
        return f"its key has {size_bytes} bytes, and S3 takes {KEY_BYTES_MAX}"
    return None
