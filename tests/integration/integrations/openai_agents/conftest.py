"""Imports the SDK once, and keeps it from the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import agents
import pytest

from digitwin.database import Database
from digitwin.integrations.openai_agents import AgentSession
from digitwin.models import User

agents.set_tracing_disabled(True)

Open = Callable[..., AgentSession]


@pytest.fixture
def opened(digitwin_db: Database, ada: User) -> Open:
    """Return new session objects on one conversation of Ada's."""

    def open(db: Any = None, session_id: str = "chat", **more: Any) -> AgentSession:
        return AgentSession(db or digitwin_db, user_id=ada.id, session_id=session_id, **more)

    return open


@pytest.fixture
def session(opened: Open) -> AgentSession:
    return opened()
