"""The API under /v1: one file a resource, each with the shapes it takes and gives."""

from litestar import Router

from services.gateway.api import (
    campaigns,
    contacts,
    endpoints,
    enrollments,
    limits,
    previews,
    senders,
    suppressions,
)

_RESOURCES = {
    "Senders": senders.ROUTES,
    "Limits": limits.ROUTES,
    "Webhook endpoints": endpoints.ROUTES,
    "Contacts": contacts.ROUTES,
    "Suppressions": suppressions.ROUTES,
    "Campaigns": (*campaigns.ROUTES, *previews.ROUTES),
    "Enrolments": enrollments.ROUTES,
}


def router() -> Router:
    """The routes of the API."""
    resources = [Router("/", route_handlers=list(routes), tags=[name]) for name, routes in _RESOURCES.items()]
    return Router("/v1", route_handlers=resources, security=[{"key": []}])
