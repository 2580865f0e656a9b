"""Keeps a forked child away from its parent's connections.

A fork copies sockets: what a child sends reaches the server in the middle of what the parent
sends, and a child that closes a connection says goodbye in the parent's name. In the child each
socket is therefore replaced, under its number, by one whose other end is closed. Whatever still
writes there, garbage collection included, meets a broken connection and reaches nobody. The
handles of the parent are told, so that they refuse work with an error that says what to do.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakMethod, WeakSet

_connections: WeakSet[Any] = WeakSet()
_hooks: list[WeakMethod[Callable[[], None]]] = []


def watch(connection: Any) -> None:
    """Replace the socket of this asyncpg connection in a child."""
    _connections.add(connection)


def in_child(hook: Callable[[], None]) -> None:
    """Call a bound method in each child, as long as its object lives."""
    _hooks[:] = [each for each in _hooks if each() is not None]
    _hooks.append(WeakMethod(hook))


def _after_fork() -> None:
    for connection in list(_connections):
        with suppress(OSError, AttributeError):  # it is closed
            _replace_socket(connection._transport)
        connection._aborted = True  # closed, for whatever of the parent's work unwinds here
    _connections.clear()
    hooks, _hooks[:] = [each() for each in _hooks], []
    for hook in hooks:
        if hook is not None:
            hook()


def _replace_socket(transport: Any) -> None:
    number = transport.get_extra_info("socket").fileno()
    here, there = socket.socketpair()
    there.close()
    with here:
        os.dup2(here.fileno(), number)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
