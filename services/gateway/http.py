"""The HTTP application: webhooks, the API and the pages."""

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from services.gateway import problems
from services.gateway.webhooks import PREFIX, Webhooks


def application(webhooks: Webhooks) -> ASGIApp:
    """Everything that answers on the public port."""
    framework = Litestar(
        route_handlers=[], exception_handlers=problems.handlers(), openapi_config=None, logging_config=None
    )

    async def public(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(PREFIX):
            await webhooks(scope, receive, send)
        else:
            await framework(scope, receive, send)

    return public
