"""The API under /v1: one file a resource, each with the shapes it takes and gives."""

from collections.abc import Mapping

from litestar import Router
from litestar.di import Provide

from services.gateway.api import contacts, endpoints, senders, suppressions
from services.gateway.api.installation import Installation
from services.gateway.api.shapes import connection_of, page_of, tenant_of

_RESOURCES = {
    "Senders": senders.ROUTES,
    "Webhook endpoints": endpoints.ROUTES,
    "Contacts": contacts.ROUTES,
    "Suppressions": suppressions.ROUTES,
}


def router() -> Router:
    """The routes of the API."""
    resources = [Router("/", route_handlers=list(routes), tags=[name]) for name, routes in _RESOURCES.items()]
    return Router("/v1", route_handlers=resources, security=[{"key": []}])


def dependencies(installation: Installation) -> Mapping[str, Provide]:
    """What its handlers ask for by name."""
    return {
        "tenant_id": Provide(tenant_of, sync_to_thread=False),
        "connection": Provide(connection_of, sync_to_thread=False),
        "page": Provide(page_of, sync_to_thread=False),
        "installation": Provide(lambda: installation, sync_to_thread=False),
    }
