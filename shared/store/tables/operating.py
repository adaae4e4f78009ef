"""What people do: the audit of it, and how many workers they pinned."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables.base import Id, made_at, metadata, one_of

# No foreign key: what was done to a tenant stays known when the tenant is gone. Ids are in order of time.
audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    made_at("at"),
    Column("actor", String, nullable=False, comment="OUTREACH_ACTOR or the system's user; a page's user"),
    Column("via", String, nullable=False),
    Column("action", String, nullable=False, comment="pause, jobs.retry, tenants.weight…"),
    Column("target", String, nullable=False, comment="what it was done to: ids and names of ours"),
    Column("tenant_id", Id, comment="null: of no tenant alone"),
    Column("count", Integer, nullable=False, server_default="1", comment="how many rows it changed"),
    Column("detail", JSONB, nullable=False, server_default="{}", comment="never contact data"),
    one_of("via", "page", "cli"),
    Index("ix_audit_tenant", "tenant_id", "id"),
)

scaling_pins = Table(
    "scaling_pins",
    metadata,
    Column("queue", String, primary_key=True),
    Column("workers", Integer, nullable=False),
    made_at("pinned_at"),
    Column("by", String, nullable=False),
    CheckConstraint("workers >= 0", name="workers"),
)
