"""Contacts, suppressions, campaigns, and where each contact is in them."""

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Interval,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables.base import (
    Id,
    Time,
    belongs_to_tenant,
    made_at,
    metadata,
    one_of,
    points_to,
    tenant_key,
)

contacts = Table(
    "contacts",
    metadata,
    *tenant_key(),
    Column("external_id", String),
    Column("email", String, comment="normalized"),
    Column("phone", String, comment="E.164"),
    Column("attributes", JSONB, nullable=False, server_default="{}"),
    Column("deleted_at", Time),
    made_at(),
    made_at("updated_at"),
    belongs_to_tenant(),
    UniqueConstraint("tenant_id", "external_id"),
    Index("ix_contacts_email", "tenant_id", "email", postgresql_where=text("email is not null")),
    Index("ix_contacts_phone", "tenant_id", "phone", postgresql_where=text("phone is not null")),
)

suppressions = Table(
    "suppressions",
    metadata,
    *tenant_key(),
    Column("channel", String, nullable=False),
    Column("address", String, nullable=False, comment="normalized"),
    Column("scope", String, nullable=False, comment="all, marketing, or group:<id>"),
    Column("reason", String, nullable=False),
    Column("event_id", Id),
    made_at(),
    belongs_to_tenant(),
    UniqueConstraint("tenant_id", "channel", "address", "scope"),
)

campaigns = Table(
    "campaigns",
    metadata,
    *tenant_key(),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column(
        "status",
        String,
        nullable=False,
        server_default="active",
    ),
    Column("version", Integer, nullable=False, server_default="1", comment="what new enrolments get"),
    Column(
        "reentry",
        String,
        nullable=False,
        server_default="never",
    ),
    Column("reentry_days", Integer),
    Column("email_sender_id", Id),
    Column("sms_sender_id", Id),
    Column("unsubscribe_group", String),
    Column("max_lateness", Interval),
    made_at(),
    made_at("updated_at"),
    belongs_to_tenant(),
    points_to("senders", "email_sender_id"),
    points_to("senders", "sms_sender_id"),
    one_of("kind", "marketing", "transactional"),
    one_of("status", "active", "paused", "cancelled"),
    one_of("reentry", "never", "after_exit", "after_days"),
)

campaign_versions = Table(
    "campaign_versions",
    metadata,
    Column("tenant_id", Id, primary_key=True),
    Column("campaign_id", Id, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("graph", JSONB, nullable=False),
    made_at(),
    points_to("campaigns", "campaign_id"),
)

enrollments = Table(
    "enrollments",
    metadata,
    *tenant_key(),
    Column("campaign_id", Id, nullable=False),
    Column("contact_id", Id, nullable=False),
    Column(
        "status",
        String,
        nullable=False,
        server_default="active",
    ),
    Column("exit", String, comment="the exit node, or what ended it: bounced, failed, cancelled"),
    Column("reason", String),
    made_at("enrolled_at"),
    Column("exited_at", Time),
    points_to("campaigns", "campaign_id"),
    points_to("contacts", "contact_id"),
    Index(
        "uq_enrollments_active",
        "tenant_id",
        "campaign_id",
        "contact_id",
        unique=True,
        postgresql_where=text("exited_at is null"),
    ),
    Index("ix_enrollments_contact", "tenant_id", "contact_id"),
    one_of("status", "active", "paused", "exited", "cancelled"),
)

visits = Table(
    "visits",
    metadata,
    *tenant_key(),
    Column("enrollment_id", Id, nullable=False),
    Column("campaign_id", Id, nullable=False),
    Column("campaign_version", Integer, nullable=False),
    Column("contact_id", Id, nullable=False),
    Column("node_id", String, nullable=False),
    Column("previous_visit_id", Id),
    Column("left_at", Time, comment="null while the contact is here: the compare-and-set looks at this"),
    Column("edge", String, comment="what it left by: open, no_open, failed, else, cancelled…"),
    Column("event_id", Id, comment="the event that moved it, if one did"),
    Column("accepted_at", Time, comment="when the visit's send was accepted; its timeouts count from here"),
    made_at("entered_at"),
    points_to("enrollments", "enrollment_id"),
    ForeignKeyConstraint(
        ["tenant_id", "campaign_id", "campaign_version"],
        ["campaign_versions.tenant_id", "campaign_versions.campaign_id", "campaign_versions.version"],
        ondelete="CASCADE",
    ),
    Index("ix_visits_enrollment", "tenant_id", "enrollment_id"),
    Index(
        "uq_visits_current",
        "tenant_id",
        "enrollment_id",
        unique=True,
        postgresql_where=text("left_at is null"),
    ),
    Index("ix_visits_node", "tenant_id", "campaign_id", "node_id", "edge"),
)
