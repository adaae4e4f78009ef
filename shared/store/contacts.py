"""Contacts: who a tenant writes to, known to it by an id of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update

from shared.errors import NotFound
from shared.store.database import AsyncConnection
from shared.store.ids import uuid7
from shared.store.pages import Page, row_of, rows_of
from shared.store.tables import contacts


@dataclass(frozen=True, slots=True)
class NewContact:
    """What a contact is to be from now on; addresses are normalized."""

    external_id: str
    email: str | None
    phone: str | None
    attributes: Mapping[str, Any]


# xmax is 0 in a row that nothing updated: it was inserted by this statement.
_UPSERT = text("""
insert into contacts as contact (tenant_id, id, external_id, email, phone, attributes)
select :tenant_id, id, external_id, email, phone, cast(attributes as jsonb) from unnest(
    cast(:ids as uuid[]), cast(:external_ids as text[]), cast(:emails as text[]), cast(:phones as text[]),
    cast(:attributes as text[])
) as wanted (id, external_id, email, phone, attributes)
order by external_id
on conflict (tenant_id, external_id) do update set
    email = excluded.email, phone = excluded.phone, attributes = excluded.attributes,
    deleted_at = null, updated_at = now()
returning external_id, id, xmax = 0 as created
""")


async def upsert(
    connection: AsyncConnection, tenant_id: UUID, wanted: Sequence[NewContact]
) -> Mapping[str, tuple[UUID, bool]]:
    """Make or replace contacts of distinct external ids; by external id: id, and whether it is new."""
    rows = await connection.execute(
        _UPSERT,
        {
            "tenant_id": tenant_id,
            "ids": [uuid7() for _ in wanted],
            "external_ids": [contact.external_id for contact in wanted],
            "emails": [contact.email for contact in wanted],
            "phones": [contact.phone for contact in wanted],
            "attributes": [json.dumps(dict(contact.attributes)) for contact in wanted],
        },
    )
    return {row.external_id: (row.id, row.created) for row in rows}


async def page(
    connection: AsyncConnection, tenant_id: UUID, page: Page, external_id: str | None = None
) -> list[Row[Any]]:
    """The tenant's contacts, or the one with an external id; deleted ones are not among them."""
    query = select(contacts).where(contacts.c.tenant_id == tenant_id, contacts.c.deleted_at.is_(None))
    if external_id is not None:
        query = query.where(contacts.c.external_id == external_id)
    return await rows_of(connection, query, contacts, page)


async def get(connection: AsyncConnection, tenant_id: UUID, contact_id: UUID) -> Row[Any]:
    """One contact that is not deleted. Raises NotFound."""
    query = select(contacts).where(contacts.c.tenant_id == tenant_id, contacts.c.id == contact_id)
    return await row_of(connection, query.where(contacts.c.deleted_at.is_(None)), "contact")


async def delete(connection: AsyncConnection, tenant_id: UUID, contact_id: UUID) -> None:
    """Forget who a contact is; its row stays for its history, and nothing is sent to it. Raises NotFound."""
    query = update(contacts).where(contacts.c.tenant_id == tenant_id, contacts.c.id == contact_id)
    forgotten = query.where(contacts.c.deleted_at.is_(None)).values(
        email=None, phone=None, attributes={}, deleted_at=func.now(), updated_at=func.now()
    )
    if (await connection.execute(forgotten)).rowcount == 0:
        raise NotFound("There is no such contact.")
