"""One-click unsubscribe (RFC 8058): only a POST unsubscribes, since scanners fetch every link of a mail.

A GET shows a page whose button makes that POST. The token stands for one message: whom it went to, and which
campaign it belonged to.
"""

from datetime import UTC, datetime

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.gateway.api.shapes import Connection
from services.gateway.callers import ANYBODY
from services.gateway.transactions import WITHOUT_TRANSACTION
from shared.campaigns import suppression
from shared.campaigns.transitions import Move, Transitions
from shared.campaigns.unsubscribe import PATH, Subscription, Unsubscribe
from shared.errors import NotFound
from shared.providers.base import EventType
from shared.store import suppressions, unsubscribes
from shared.store.database import AsyncConnection
from shared.store.suppressions import Suppressed

Tokens = NamedDependency[Unsubscribe]
Moving = NamedDependency[Transitions]

_ROUTE = PATH + "{token:str}"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 28rem; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1.5rem }}</style>
{body}
</html>
"""
_ASK = _PAGE.format(
    body='<p>Stop these messages?</p><form method="post">'
    '<button name="List-Unsubscribe" value="One-Click">Unsubscribe</button></form>'
)
_DONE = _PAGE.format(body="<p>You are unsubscribed.</p>")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "referrer-policy": "no-referrer",  # the URL is a secret of its reader
    "cache-control": "no-store",
    "x-robots-tag": "noindex",
}


_ASKING = {ANYBODY: True, WITHOUT_TRANSACTION: True}


@get(_ROUTE, opt=_ASKING, media_type=MediaType.HTML, include_in_schema=False)
async def ask(token: FromPath[str], tokens: Tokens) -> Response[str]:
    """The page with the button; nothing changes."""
    _read(tokens, token)
    return Response(_ASK, headers=_HEADERS)


@post(_ROUTE, opt={ANYBODY: True}, status_code=200, media_type=MediaType.HTML, include_in_schema=False)
async def unsubscribe(
    token: FromPath[str], tokens: Tokens, connection: Connection, transitions: Moving
) -> Response[str]:
    """Suppress marketing to the address, or the campaign's group, and let the contact's visit know."""
    await _unsubscribe(connection, transitions, _read(tokens, token))
    return Response(_DONE, headers=_HEADERS)


def _read(tokens: Unsubscribe, token: str) -> Subscription:
    subscription = tokens.read(token)
    if subscription is None:
        raise NotFound("This link is not one of ours: copy it whole.")
    return subscription


async def _unsubscribe(
    connection: AsyncConnection, transitions: Transitions, subscription: Subscription
) -> None:
    tenant_id, action_id = subscription.tenant_id, subscription.action_id
    message = await unsubscribes.message(connection, tenant_id, action_id)
    event_id = await unsubscribes.record(connection, tenant_id, action_id, message)
    if event_id is not None:
        happened = Move(
            tenant_id, message.visit_id, EventType.UNSUBSCRIBE, datetime.now(UTC), event_id=event_id
        )
        [moved] = await transitions.advance(connection, [happened])
        await unsubscribes.note_effect(connection, tenant_id, event_id, moved.effect)
    if message.address:
        group = message.unsubscribe_group
        scope = suppression.group(group) if group else suppression.MARKETING
        suppressed = Suppressed(message.channel, message.address, scope)
        await suppressions.add(connection, tenant_id, [suppressed], "unsubscribed")


ROUTES = (ask, unsubscribe)
