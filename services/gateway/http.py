"""The HTTP application: webhooks, the API and the pages."""

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.plugins.pydantic import PydanticPlugin
from litestar.types import ASGIApp, Receive, Scope, Send

from services.gateway import api, problems
from services.gateway.api.installation import Installation
from services.gateway.callers import Authenticate
from services.gateway.settings import GatewaySettings
from services.gateway.transactions import Transaction
from services.gateway.webhooks import PREFIX, Webhooks
from shared.store.database import Database


def application(settings: GatewaySettings, webhooks: Webhooks, database: Database) -> ASGIApp:
    """Everything that answers on the public port."""
    framework = _framework(settings, database)

    async def public(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(PREFIX):
            await webhooks(scope, receive, send)
        else:
            await framework(scope, receive, send)

    return public


def _framework(settings: GatewaySettings, database: Database) -> Litestar:
    return Litestar(
        route_handlers=[api.router()],
        dependencies=api.dependencies(Installation.of(settings)),
        middleware=[
            Authenticate(database, settings.believe),
            Transaction(database, settings.max_bytes, settings.read_timeout),
        ],
        exception_handlers=problems.handlers(),
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # the transaction reads the body, and has a limit
    )
