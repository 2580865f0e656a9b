"""Key files: 32 bytes a line, in base64, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from digitwin.errors import ConfigurationError
from digitwin.kernel.primitives import private_file
from digitwin.settings import MASTER_KEY_BYTES, master_key_bytes


def new_key() -> bytes:
    """Return 32 random bytes."""
    return secrets.token_bytes(MASTER_KEY_BYTES)


def write_new(path: Path, key: str) -> bool:
    """Create a file with this key, readable by its owner alone.

    Returns:
        False if the file exists; of several processes, one creates it.
    """
    return private_file.create(path, f"{key}\n".encode())


def read(path: Path, *, field: str, advice: str) -> list[bytes]:
    """Read the keys of a file, one a line.

    Args:
        field: the setting that names the file; the error calls the file by it.
        advice: what the error recommends if there is no usable file.

    Raises:
        ConfigurationError: the file cannot be read, holds no key, or others may read it.
    """
    what = f"The {field.replace('_', ' ')} {path}"
    try:
        mode, lines = path.stat().st_mode, path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ConfigurationError(f"{what} cannot be read ({why}): {advice}", field=field) from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ConfigurationError(
            f"{what} is open to others: run `chmod 600` on it",
            field=field,
        )
    try:
        keys = [master_key_bytes(line) for line in lines]
    except ValueError as error:
        raise ConfigurationError(f"{what}: a line {error}", field=field) from None
    if not keys:
        raise ConfigurationError(f"{what} is empty", field=field)
    return keys
