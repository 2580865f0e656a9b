"""Files with keys: 32 bytes a line, in base64, for their owner's eyes alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from digitwin.errors import ConfigurationError
from digitwin.settings import MASTER_KEY_BYTES, master_key_bytes


def new_key() -> bytes:
    """32 bytes that nobody can guess."""
    return secrets.token_bytes(MASTER_KEY_BYTES)


def write_new(path: Path, key: str) -> bool:
    """Make a file with this key, for its owner alone; False where there is one.

    It appears complete or not at all, and of several processes one makes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def read(path: Path, *, field: str, cure: str) -> list[bytes]:
    """The keys of a file, one a line.

    Args:
        field: the setting that names it, whose name says what kind of key it is.
        cure: what to do where there is none.

    Raises:
        ConfigurationError: the file cannot be read, holds no key, or others may read it.
    """
    what = f"The {field.replace('_', ' ')} {path}"
    try:
        mode, lines = path.stat().st_mode, path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ConfigurationError(f"{what} cannot be read ({why}): {cure}", field=field) from None
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
