"""The control port: hold requests and webhooks, count, finish."""

import hmac
from dataclasses import asdict
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from services.cli.simulator.hold import Hold
from services.cli.simulator.provider import Provider
from services.cli.simulator.webhooks import Outbox


class Command(BaseModel):
    """A `POST /control` body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: Literal["hold_next", "release", "hold_webhooks", "release_webhooks", "stats", "finish"]
    taken: bool = False
    seconds: float = 30


class Control:
    """Answers whoever has the token."""

    def __init__(self, token: str, provider: Provider, outbox: Outbox, hold: Hold) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._provider = provider
        self._outbox = outbox
        self._hold = hold

    def app(self) -> web.Application:
        """The web application."""
        app = web.Application()
        app.add_routes([web.get("/control/held", self._held), web.post("/control", self._do)])
        return app

    async def _held(self, request: web.Request) -> web.Response:
        self._check(request)
        held = self._hold.held
        return web.json_response({"held": True, **asdict(held)} if held else {"held": False})

    async def _do(self, request: web.Request) -> web.Response:
        self._check(request)
        try:
            command = Command.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPUnprocessableEntity(text=error.json(include_url=False)) from error
        match command.do:
            case "hold_next":
                if not self._hold.arm(taken=command.taken):
                    raise web.HTTPConflict(
                        text="A request is held already, or about to be: release it first."
                    )
            case "release":
                self._hold.release()
            case "hold_webhooks":
                self._outbox.hold()
            case "release_webhooks":
                self._outbox.release()
            case "finish":
                await self._outbox.finish(command.seconds)
        return web.json_response(self._stats())

    def _check(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            raise web.HTTPUnauthorized

    def _stats(self) -> dict[str, Any]:
        return {
            "arrivals": self._provider.arrivals,
            "posts": self._outbox.posts,
            "outstanding": self._outbox.outstanding,
        }
