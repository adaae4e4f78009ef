"""The HTTP application: webhooks, the API and the pages."""

from collections.abc import Callable

import httpx
from litestar import Litestar
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.plugins.pydantic import PydanticPlugin
from litestar.types import ASGIApp, Receive, Scope, Send

from services.gateway import api, problems, reference, unsubscribe
from services.gateway.api.installation import Installation
from services.gateway.api.shapes import connection_of, page_of, tenant_of
from services.gateway.callers import Authenticate
from services.gateway.settings import GatewaySettings
from services.gateway.transactions import Transaction
from services.gateway.trials import Trials
from services.gateway.webhooks import PREFIX, Webhooks
from shared.campaigns.transitions import Transitions
from shared.campaigns.unsubscribe import Unsubscribe
from shared.store.database import Database


def application(
    settings: GatewaySettings,
    webhooks: Webhooks,
    database: Database,
    http_client: httpx.AsyncClient,
    trials: Trials,
) -> ASGIApp:
    """Everything that answers on the public port; test sends go out by `http_client`."""
    framework = Litestar(
        route_handlers=[api.router(), *unsubscribe.ROUTES],
        dependencies=_dependencies(settings, http_client, trials),
        middleware=[
            Authenticate(database, settings.believe),
            Transaction(database, settings.max_bytes, settings.read_timeout),
        ],
        exception_handlers=problems.handlers(),
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=reference.config(),
        logging_config=None,
        request_max_body_size=None,  # the transaction reads the body, and has a limit
    )
    reference.describe(framework)

    async def public(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(PREFIX):
            await webhooks(scope, receive, send)
        else:
            await framework(scope, receive, send)

    return public


def _dependencies(
    settings: GatewaySettings, http_client: httpx.AsyncClient, trials: Trials
) -> dict[str, Provide]:
    """What handlers ask for by name."""
    transitions = Transitions(settings.timeouts)
    kept = {
        "installation": Installation.of(settings),
        "tokens": Unsubscribe(settings.public),
        "transitions": transitions,
        "graphs": transitions.graphs,
        "http_client": http_client,
        "trials": trials,
    }
    of_request: dict[str, Callable[..., object]] = {
        "tenant_id": tenant_of,
        "connection": connection_of,
        "page": page_of,
    }
    return {
        **{name: _given(value) for name, value in kept.items()},
        **{name: Provide(each, sync_to_thread=False) for name, each in of_request.items()},
    }


def _given(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
