"""What is scheduled, what was tried, what providers posted, and the events it became."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.sets import checked
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

_SEND = "'pending', 'enqueued', 'submitting', 'accepted', 'failed', 'skipped', 'cancelled', 'unknown', 'held'"
_WISHES = "'group_unsubscribe', 'group_resubscribe', 'opt_out', 'opt_in'"
_TIMEOUT = "'pending', 'enqueued', 'fired', 'cancelled', 'held'"

scheduled_actions = Table(
    "scheduled_actions",
    metadata,
    *tenant_key(),
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False, server_default="pending"),
    Column("g", Integer, nullable=False, server_default="0", comment="generation (design §2)"),
    Column("due_at", Time, nullable=False),
    Column("scheduled_at", Time, nullable=False, comment="the first due time: lateness counts from here"),
    Column("enrollment_id", Id, nullable=False),
    Column("visit_id", Id, nullable=False),
    Column("campaign_id", Id, nullable=False),
    Column("contact_id", Id, nullable=False),
    Column("node_id", String, nullable=False),
    Column("channel", String, comment="sends"),
    Column("sender_id", Id, comment="sends"),
    Column("lane_id", Id, Computed("coalesce(sender_id, tenant_id)", persisted=True), nullable=False),
    Column("event_type", String, comment="timeouts: no_open, no_click, elapsed"),
    Column("cost", Integer, nullable=False, server_default="1"),
    Column("tries", Integer, nullable=False, server_default="0", comment="attempts that used one up"),
    Column("reason", String),
    Column("provider_message_id", String),
    Column("recipient", String, comment="the address it was submitted to, normalized"),
    Column(
        "status_at", Time, nullable=False, server_default=text("now()"), comment="when status last changed"
    ),
    Column("accepted_at", Time),
    Column("delivery_status", String, comment="what the provider last said: processed, delivered, bounce…"),
    Column("watermark", String, comment="timeouts that fired without a full watermark: expired"),
    made_at(),
    points_to("visits", "visit_id"),
    points_to("senders", "sender_id"),
    CheckConstraint(
        f"(kind = 'send' and status in ({_SEND})) or (kind = 'timeout' and status in ({_TIMEOUT}))",
        name="status",
    ),
    UniqueConstraint("tenant_id", "visit_id", "kind", "event_type", postgresql_nulls_not_distinct=True),
    # One index a question: what is due in a lane, what is in flight, what a message id belongs to.
    Index(
        "ix_actions_due",
        "kind",
        "tenant_id",
        "lane_id",
        "due_at",
        postgresql_where=text("status = 'pending'"),
    ),
    Index(
        "ix_actions_in_flight",
        "kind",
        "status",
        "tenant_id",
        "lane_id",
        "status_at",
        postgresql_where=text("status in ('enqueued', 'submitting', 'unknown')"),
    ),
    Index(
        "ix_actions_failed", "tenant_id", "id", postgresql_where=text("kind = 'send' and status = 'failed'")
    ),
    Index("ix_actions_held", "tenant_id", "campaign_id", postgresql_where=text("status = 'held'")),
    Index(
        "ix_actions_held_why",
        "reason",
        "kind",
        "tenant_id",
        "campaign_id",
        postgresql_where=text(checked("status = 'held'")),
    ),
    Index(
        "ix_actions_message",
        "tenant_id",
        "provider_message_id",
        postgresql_where=text("provider_message_id is not null"),
    ),
    Index(
        "ix_actions_recipient",
        "tenant_id",
        "recipient",
        "status_at",
        postgresql_where=text("recipient is not null"),
    ),
    Index("ix_actions_contact", "tenant_id", "contact_id"),
    one_of("kind", "send", "timeout"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("tenant_id", Id, primary_key=True),
    Column("action_id", Id, primary_key=True),
    Column("g", Integer, primary_key=True),
    Column(
        "charged_at", Time, primary_key=True, comment="the engine's clock at the claim; the partition key"
    ),
    Column("channel", String, nullable=False),
    Column("sender_id", Id, nullable=False),
    Column("cost", Integer, nullable=False),
    Column("submitted_at", Time, nullable=False),
    Column("ended_at", Time),
    Column("outcome", String, comment="null while the call runs"),
    Column("reason", String),
    Column("given_back", Boolean, nullable=False, server_default="false"),
    Index("ix_attempts_charged_at", "tenant_id", "charged_at"),
    postgresql_partition_by="RANGE (charged_at)",
)

deliveries = Table(
    "deliveries",
    metadata,
    *tenant_key(),
    Column("received_at", Time, primary_key=True, server_default=text("now()"), comment="the partition key"),
    Column("endpoint_id", Id, nullable=False),
    Column("provider", String, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("query", String, nullable=False, server_default=""),
    Column("body", LargeBinary, nullable=False),
    Column(
        "state",
        String,
        nullable=False,
        server_default="received",
    ),
    Column("g", Integer, nullable=False, server_default="0"),
    Column("state_at", Time, nullable=False, server_default=text("now()")),
    Column("retry_at", Time, comment="parked: when to look again"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("reason", String),
    Column("events", Integer, comment="new events it held"),
    Index(
        "ix_deliveries_open",
        "state",
        "tenant_id",
        "received_at",
        postgresql_where=text("state in ('received', 'processing', 'parked')"),
    ),
    Index("ix_deliveries_failed", "tenant_id", "id", postgresql_where=text("state = 'failed'")),
    one_of("state", "received", "processing", "processed", "failed", "parked"),
    postgresql_partition_by="RANGE (received_at)",
)

delivery_digests = Table(
    "delivery_digests",
    metadata,
    Column("tenant_id", Id, primary_key=True),
    Column("endpoint_id", Id, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("delivery_id", Id, nullable=False),
    made_at("received_at"),
    # No foreign key, as deliveries have none: one tenant's removal must not fail a batch of posts.
    Index("ix_delivery_digests_received_at", "received_at"),
)

events = Table(
    "events",
    metadata,
    *tenant_key(),
    Column("seq", BigInteger, Identity(), nullable=False),
    Column("type", String, nullable=False),
    Column("occurred_at", Time, nullable=False, comment="the provider's time"),
    made_at("received_at"),
    Column("natural_key", LargeBinary, nullable=False),
    Column("automated", String, nullable=False, server_default="none", comment="none, mpp, scanner"),
    Column("provider", String, nullable=False, comment="outreach for synthetic events"),
    Column("provider_event_id", String),
    Column("delivery_id", Id),
    Column("action_id", Id),
    Column("visit_id", Id),
    Column("campaign_id", Id),
    Column("contact_id", Id),
    Column("node_id", String),
    Column("message_id", String),
    Column("smtp_id", String),
    Column("recipient", String),
    Column("url", String),
    Column("reason", String),
    Column("bounce_class", String),
    Column("group_id", String),
    Column("effect", String, nullable=False, server_default="none", comment="none, moved, late, unmatched"),
    Column("raw", JSONB, comment="kept for unknown events"),
    belongs_to_tenant(),
    UniqueConstraint("tenant_id", "natural_key"),
    Index("ix_events_visit", "tenant_id", "visit_id", "type"),
    Index("ix_events_contact", "tenant_id", "contact_id", "occurred_at"),
    Index("ix_events_smtp", "tenant_id", "smtp_id", postgresql_where=text("smtp_id is not null")),
    Index("ix_events_wishes", "tenant_id", "recipient", postgresql_where=text(f"type in ({_WISHES})")),
)
