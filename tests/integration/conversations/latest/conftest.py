"""A session that grows and shrinks at its end."""

from tests.integration.conversations import conftest as of_sessions

sessions, session = of_sessions.sessions, of_sessions.session
