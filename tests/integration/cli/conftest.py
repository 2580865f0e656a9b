"""The command line as a person runs it, on the test's own database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from digitwin.cli.app import app


@pytest.fixture
def cli(digitwin_url: str) -> Callable[..., Awaitable[Result]]:
    """Run a command to its end, on an event loop of its own; ``url`` names another database."""

    async def run(*arguments: str, url: str = digitwin_url) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--url", url])

    return run
