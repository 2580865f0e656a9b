"""A small live service, as a user would write it: the handle is opened in the lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from digitwin.connecting import connect
from digitwin.models import User

waiting = asyncio.Event()
go_on = asyncio.Event()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with connect(pool_max=4) as db:
        app.state.db = db
        yield


async def talk(request: Request) -> JSONResponse:
    """One exchange: limiter, session, turn and audit, then a look back through the models."""
    db, name = request.app.state.db, request.path_params["name"]
    if not await db.limits.consume(name, "/talk", limit=10, window=60):
        return JSONResponse({"error": "busy"}, status_code=429)
    async with db.transaction():
        user = await db.users.create(email=f"{name}@example.com", name=name)
        session = await db.sessions.start(user.id)
        await db.sessions.add_turn(session.id, user_text="Hello?", twin_text=f"I am {name}.")
        await db.audit.record("talked", "session", user_id=user.id, resource_id=str(session.id))
    found = await User.get(name=name)
    sessions = await found.sessions
    turns = await db.sessions.turns(sessions[0].id)
    return JSONResponse({"heard": [turn.twin_text for turn in turns.items]})


async def think(request: Request) -> JSONResponse:
    """A slow exchange, which is in its transaction when the server is told to stop."""
    db = request.app.state.db
    async with db.transaction():
        waiting.set()
        await go_on.wait()
        await db.users.create(email="thinker@example.com", name="Thinker")
    return JSONResponse({"thought": True})


async def is_thinking(request: Request) -> JSONResponse:
    """Answers as soon as somebody thinks, and lets the thought go on shortly after."""
    await waiting.wait()
    asyncio.get_running_loop().call_later(0.3, go_on.set)
    return JSONResponse({})


async def health(request: Request) -> JSONResponse:
    pool = (await request.app.state.db.health()).pool
    return JSONResponse({"in_use": pool.in_use, "size": pool.size, "waiting": pool.waiting})


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/talk/{name}", talk, methods=["POST"]),
        Route("/think", think, methods=["POST"]),
        Route("/thinking", is_thinking),
        Route("/health", health),
    ],
)
