"""Contacts, many at once: made or replaced by the id the tenant knows them by."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import delete, get, post
from litestar.params import JSONBody, QueryParameter
from pydantic import Field

from services.gateway import addresses
from services.gateway.api.shapes import (
    MOST_ITEMS,
    Connection,
    Id,
    Listed,
    Paging,
    Shape,
    TenantId,
    Word,
    listed,
)
from services.gateway.problems import Problem
from shared.store import contacts, history
from shared.store.contacts import NewContact


class ContactData(Shape):
    """What a contact is from now on: what is left out is removed."""

    external_id: Word
    email: Word | None = None
    phone: Word | None = None
    attributes: Annotated[dict[str, Any], Field(default_factory=dict, max_length=200)]


class ContactBatch(Shape):
    """Contacts, each with an external id of its own."""

    contacts: Annotated[list[ContactData], Field(min_length=1, max_length=MOST_ITEMS)]


class ContactResult(Shape):
    """What became of one contact of a batch, at its place in the batch."""

    external_id: str
    status: Literal["created", "updated", "refused"]
    id: UUID | None = None
    problem: Problem | None = None


class ContactResults(Shape):
    """What became of a batch."""

    results: list[ContactResult]


class Contact(Shape):
    """A contact; addresses are normalized."""

    id: UUID
    external_id: str | None
    email: str | None
    phone: str | None
    attributes: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Entry(Shape):
    """One thing that happened.

    `kind` says what `what` is: of a send its status, of an event its type, of a visit the edge it was left
    by, or `here`. `at` is when it last changed, happened, or began.
    """

    id: UUID
    kind: Literal["send", "event", "visit"]
    at: datetime
    campaign_id: UUID | None
    node_id: str | None
    channel: str | None
    what: str
    reason: str | None
    recipient: str | None
    url: str | None
    automated: str | None


@post("/contacts", status_code=200)
async def upsert_contacts(
    data: JSONBody[ContactBatch], tenant_id: TenantId, connection: Connection
) -> ContactResults:
    """Make contacts, or replace those whose external id is known. One that is refused stops no other."""
    checked = _checked(data.contacts)
    good = [item for item in checked if isinstance(item, NewContact)]
    rows = await contacts.upsert(connection, tenant_id, good)
    results = []
    for item in checked:
        if isinstance(item, NewContact):
            contact_id, created = rows[item.external_id]
            status: Literal["created", "updated"] = "created" if created else "updated"
            results.append(ContactResult(external_id=item.external_id, status=status, id=contact_id))
        else:
            results.append(item)
    return ContactResults(results=results)


@get("/contacts")
async def list_contacts(
    tenant_id: TenantId,
    connection: Connection,
    page: Paging,
    external_id: Annotated[str | None, QueryParameter(name="externalId", pattern=r"^[^\x00]{1,200}$")] = None,
) -> Listed[Contact]:
    """Contacts, or the one with an external id."""
    return listed(Contact.of, await contacts.page(connection, tenant_id, page, external_id), page)


@get("/contacts/{contact_id:uuid}")
async def get_contact(contact_id: Id, tenant_id: TenantId, connection: Connection) -> Contact:
    """One contact."""
    return Contact.of(await contacts.get(connection, tenant_id, contact_id))


@delete("/contacts/{contact_id:uuid}")
async def delete_contact(contact_id: Id, tenant_id: TenantId, connection: Connection) -> None:
    """Forget a contact's addresses and attributes; nothing is sent to it any more."""
    await contacts.delete(connection, tenant_id, contact_id)


@get("/contacts/{contact_id:uuid}/history")
async def contact_history(
    contact_id: Id, tenant_id: TenantId, connection: Connection, page: Paging
) -> Listed[Entry]:
    """What was sent to a contact, what it did, and where it was led, the latest first."""
    await contacts.get(connection, tenant_id, contact_id)
    return listed(Entry.of, await history.of_contact(connection, tenant_id, contact_id, page), page)


def _checked(batch: Sequence[ContactData]) -> list[NewContact | ContactResult]:
    """Each contact made fit to be stored, or the result that refuses it."""
    seen: set[str] = set()
    checked: list[NewContact | ContactResult] = []
    for place, contact in enumerate(batch):
        if contact.external_id in seen:
            checked.append(
                _refused(contact, "This external id came before in the batch.", place, "externalId")
            )
            continue
        seen.add(contact.external_id)
        checked.append(_normalized(contact, place))
    return checked


def _normalized(contact: ContactData, place: int) -> NewContact | ContactResult:
    field = "email"
    try:
        email = addresses.email(contact.email) if contact.email else None
        field = "phone"
        phone = addresses.phone(contact.phone) if contact.phone else None
    except ValueError as error:
        return _refused(contact, str(error), place, field)
    return NewContact(contact.external_id, email, phone, contact.attributes)


def _refused(contact: ContactData, sentence: str, place: int, field: str) -> ContactResult:
    problem = Problem(error="invalid", message=sentence, path=f"/contacts/{place}/{field}")
    return ContactResult(external_id=contact.external_id, status="refused", problem=problem)


ROUTES = (upsert_contacts, list_contacts, get_contact, delete_contact, contact_history)
