"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table, and the partitioned ones' default partitions."""
    op.create_table(
        "attempts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("g", sa.Integer(), nullable=False),
        sa.Column(
            "charged_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the engine's clock at the claim; the partition key",
        ),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("sender_id", sa.Uuid(), nullable=False),
        sa.Column("cost", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True, comment="null while the call runs"),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("given_back", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "action_id", "g", "charged_at", name=op.f("pk_attempts")),
        postgresql_partition_by="RANGE (charged_at)",
    )
    op.create_index("ix_attempts_charged_at", "attempts", ["tenant_id", "charged_at"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="the partition key",
        ),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=Text()), nullable=False),
        sa.Column("query", sa.String(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), server_default="received", nullable=False),
        sa.Column("g", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "retry_at", sa.DateTime(timezone=True), nullable=True, comment="parked: when to look again"
        ),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("events", sa.Integer(), nullable=True, comment="new events it held"),
        sa.CheckConstraint(
            "state in ('received', 'processing', 'processed', 'failed', 'parked')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", "received_at", name=op.f("pk_deliveries")),
        postgresql_partition_by="RANGE (received_at)",
    )
    op.create_index(
        "ix_deliveries_open",
        "deliveries",
        ["state", "tenant_id", "received_at"],
        unique=False,
        postgresql_where=sa.text("state in ('received', 'processing', 'parked')"),
    )
    op.create_table(
        "delivery_digests",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id", "digest", name=op.f("pk_delivery_digests")),
    )
    op.create_index("ix_delivery_digests_received_at", "delivery_digests", ["received_at"], unique=False)
    op.create_table(
        "gateway_beats",
        sa.Column("one", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, comment="when any gateway last said it serves"
        ),
        sa.CheckConstraint("one = 1", name=op.f("ck_gateway_beats_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_gateway_beats")),
    )
    op.create_table(
        "gateway_outages",
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "to_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="written by the first beat after the silence",
        ),
        sa.PrimaryKeyConstraint("from_at", name=op.f("pk_gateway_outages")),
    )
    op.create_index(op.f("ix_gateway_outages_to_at"), "gateway_outages", ["to_at"], unique=False)
    op.create_table(
        "installation",
        sa.Column("one", sa.Integer(), server_default="1", nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_installation_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_installation")),
    )
    op.create_table(
        "queues",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queues")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), server_default="1", nullable=False),
        sa.Column("unknown_policy", sa.String(), server_default="fail", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("weight > 0", name=op.f("ck_tenants_weight")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_api_keys_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_table(
        "contacts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True, comment="normalized"),
        sa.Column("phone", sa.String(), nullable=True, comment="E.164"),
        sa.Column("attributes", postgresql.JSONB(astext_type=Text()), server_default="{}", nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_contacts_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("tenant_id", "external_id", name=op.f("uq_contacts_tenant_id_external_id")),
    )
    op.create_index(
        "ix_contacts_email",
        "contacts",
        ["tenant_id", "email"],
        unique=False,
        postgresql_where=sa.text("email is not null"),
    )
    op.create_index(
        "ix_contacts_phone",
        "contacts",
        ["tenant_id", "phone"],
        unique=False,
        postgresql_where=sa.text("phone is not null"),
    )
    op.create_table(
        "events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False, comment="the provider's time"),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("natural_key", sa.LargeBinary(), nullable=False),
        sa.Column(
            "automated", sa.String(), server_default="none", nullable=False, comment="none, mpp, scanner"
        ),
        sa.Column("provider", sa.String(), nullable=False, comment="outreach for synthetic events"),
        sa.Column("provider_event_id", sa.String(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.Column("action_id", sa.Uuid(), nullable=True),
        sa.Column("visit_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("node_id", sa.String(), nullable=True),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("smtp_id", sa.String(), nullable=True),
        sa.Column("recipient", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("bounce_class", sa.String(), nullable=True),
        sa.Column("group_id", sa.String(), nullable=True),
        sa.Column(
            "effect",
            sa.String(),
            server_default="none",
            nullable=False,
            comment="none, moved, late, unmatched",
        ),
        sa.Column(
            "raw", postgresql.JSONB(astext_type=Text()), nullable=True, comment="kept for unknown events"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_events_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_events")),
        sa.UniqueConstraint("tenant_id", "natural_key", name=op.f("uq_events_tenant_id_natural_key")),
    )
    op.create_index("ix_events_contact", "events", ["tenant_id", "contact_id", "occurred_at"], unique=False)
    op.create_index(
        "ix_events_smtp",
        "events",
        ["tenant_id", "smtp_id"],
        unique=False,
        postgresql_where=sa.text("smtp_id is not null"),
    )
    op.create_index("ix_events_visit", "events", ["tenant_id", "visit_id", "type"], unique=False)
    op.create_index(
        "ix_events_wishes",
        "events",
        ["tenant_id", "recipient"],
        unique=False,
        postgresql_where=sa.text("type in ('group_unsubscribe', 'group_resubscribe', 'opt_out', 'opt_in')"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True, comment="null while the first request runs"),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_idempotency_keys_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "pauses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.String(), nullable=True, comment="null: every queue"),
        sa.Column("tenant_id", sa.Uuid(), nullable=True, comment="null: every tenant"),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_pauses_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
        sa.UniqueConstraint(
            "queue", "tenant_id", name=op.f("uq_pauses_queue_tenant_id"), postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "provider_accounts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False, comment="sealed JSON"),
        sa.Column("base_url", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_provider_accounts_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_provider_accounts")),
    )
    op.create_table(
        "queue_partitions",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opening_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["queue"], ["queues.name"], name=op.f("fk_queue_partitions_queue")),
        sa.PrimaryKeyConstraint("queue", "partition", name=op.f("pk_queue_partitions")),
    )
    op.create_table(
        "suppressions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False, comment="normalized"),
        sa.Column("scope", sa.String(), nullable=False, comment="all, marketing, or group:<id>"),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_suppressions_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_suppressions")),
        sa.UniqueConstraint(
            "tenant_id",
            "channel",
            "address",
            "scope",
            name=op.f("uq_suppressions_tenant_id_channel_address_scope"),
        ),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_webhook_endpoints_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("id", name=op.f("uq_webhook_endpoints_id")),
    )
    op.create_table(
        "senders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_account_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("name", sa.String(), server_default="", nullable=False),
        sa.Column(
            "ambiguous",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="ambiguous outcomes in a row",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("channel in ('email', 'sms')", name=op.f("ck_senders_channel")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "provider_account_id"],
            ["provider_accounts.tenant_id", "provider_accounts.id"],
            name=op.f("fk_senders_tenant_id_provider_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_senders_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_senders")),
        sa.UniqueConstraint(
            "tenant_id", "channel", "address", name=op.f("uq_senders_tenant_id_channel_address")
        ),
    )
    op.create_table(
        "webhook_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False, comment="sealed public key or auth token"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"],
            ["webhook_endpoints.tenant_id", "webhook_endpoints.id"],
            name=op.f("fk_webhook_keys_tenant_id_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_webhook_keys")),
    )
    op.create_table(
        "campaigns",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default="active", nullable=False),
        sa.Column(
            "version", sa.Integer(), server_default="1", nullable=False, comment="what new enrolments get"
        ),
        sa.Column("reentry", sa.String(), server_default="never", nullable=False),
        sa.Column("reentry_days", sa.Integer(), nullable=True),
        sa.Column("email_sender_id", sa.Uuid(), nullable=True),
        sa.Column("sms_sender_id", sa.Uuid(), nullable=True),
        sa.Column("unsubscribe_group", sa.String(), nullable=True),
        sa.Column("max_lateness", sa.Interval(), nullable=True),
        sa.Column(
            "paused_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="stays after a resume until every held row is released",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('marketing', 'transactional')", name=op.f("ck_campaigns_kind")),
        sa.CheckConstraint(
            "reentry in ('never', 'after_exit', 'after_days')", name=op.f("ck_campaigns_reentry")
        ),
        sa.CheckConstraint("status in ('active', 'paused', 'cancelled')", name=op.f("ck_campaigns_status")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "email_sender_id"],
            ["senders.tenant_id", "senders.id"],
            name=op.f("fk_campaigns_tenant_id_email_sender_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sms_sender_id"],
            ["senders.tenant_id", "senders.id"],
            name=op.f("fk_campaigns_tenant_id_sms_sender_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_campaigns_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "closures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("sender_id", sa.Uuid(), nullable=True, comment="null: the whole tenant on this channel"),
        sa.Column("reason", sa.String(), nullable=False, comment="unauthorized, rate_limited, ambiguous"),
        sa.Column(
            "until", sa.DateTime(timezone=True), nullable=True, comment="null: until an operator reopens it"
        ),
        sa.Column("strikes", sa.Integer(), server_default="1", nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sender_id"],
            ["senders.tenant_id", "senders.id"],
            name=op.f("fk_closures_tenant_id_sender_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_closures_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_closures")),
        sa.UniqueConstraint(
            "tenant_id",
            "channel",
            "sender_id",
            "reason",
            name=op.f("uq_closures_tenant_id_channel_sender_id_reason"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "rate_limits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("sender_id", sa.Uuid(), nullable=True, comment="null: the whole tenant on this channel"),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind in ('minute', 'hour', 'day', 'concurrent')", name=op.f("ck_rate_limits_kind")
        ),
        sa.CheckConstraint('"limit" >= 0', name=op.f("ck_rate_limits_limit")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sender_id"],
            ["senders.tenant_id", "senders.id"],
            name=op.f("fk_rate_limits_tenant_id_sender_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_rate_limits_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rate_limits")),
        sa.UniqueConstraint(
            "tenant_id",
            "channel",
            "sender_id",
            "kind",
            name=op.f("uq_rate_limits_tenant_id_channel_sender_id_kind"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "campaign_versions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("graph", postgresql.JSONB(astext_type=Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "campaign_id"],
            ["campaigns.tenant_id", "campaigns.id"],
            name=op.f("fk_campaign_versions_tenant_id_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "campaign_id", "version", name=op.f("pk_campaign_versions")),
    )
    op.create_table(
        "enrollments",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), server_default="active", nullable=False),
        sa.Column(
            "exit",
            sa.String(),
            nullable=True,
            comment="the exit node, or what ended it: bounced, failed, cancelled",
        ),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("exited_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('active', 'paused', 'exited', 'cancelled')", name=op.f("ck_enrollments_status")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "campaign_id"],
            ["campaigns.tenant_id", "campaigns.id"],
            name=op.f("fk_enrollments_tenant_id_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_enrollments_tenant_id_contact_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_enrollments")),
    )
    op.create_index("ix_enrollments_contact", "enrollments", ["tenant_id", "contact_id"], unique=False)
    op.create_index(
        "uq_enrollments_active",
        "enrollments",
        ["tenant_id", "campaign_id", "contact_id"],
        unique=True,
        postgresql_where=sa.text("exited_at is null"),
    )
    op.create_table(
        "visits",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("enrollment_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_version", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("previous_visit_id", sa.Uuid(), nullable=True),
        sa.Column(
            "left_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null while the contact is here: the compare-and-set looks at this",
        ),
        sa.Column(
            "edge",
            sa.String(),
            nullable=True,
            comment="what it left by: open, no_open, failed, else, cancelled…",
        ),
        sa.Column("event_id", sa.Uuid(), nullable=True, comment="the event that moved it, if one did"),
        sa.Column(
            "accepted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the visit's send was accepted; its timeouts count from here",
        ),
        sa.Column("entered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "campaign_id", "campaign_version"],
            ["campaign_versions.tenant_id", "campaign_versions.campaign_id", "campaign_versions.version"],
            name=op.f("fk_visits_tenant_id_campaign_id_campaign_version"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "enrollment_id"],
            ["enrollments.tenant_id", "enrollments.id"],
            name=op.f("fk_visits_tenant_id_enrollment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_visits")),
    )
    op.create_index("ix_visits_enrollment", "visits", ["tenant_id", "enrollment_id"], unique=False)
    op.create_index("ix_visits_node", "visits", ["tenant_id", "campaign_id", "node_id", "edge"], unique=False)
    op.create_index(
        "uq_visits_current",
        "visits",
        ["tenant_id", "enrollment_id"],
        unique=True,
        postgresql_where=sa.text("left_at is null"),
    )
    op.create_table(
        "scheduled_actions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default="pending", nullable=False),
        sa.Column("g", sa.Integer(), server_default="0", nullable=False, comment="generation (design §2)"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "scheduled_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the first due time: lateness counts from here",
        ),
        sa.Column("enrollment_id", sa.Uuid(), nullable=False),
        sa.Column("visit_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=True, comment="sends"),
        sa.Column("sender_id", sa.Uuid(), nullable=True, comment="sends"),
        sa.Column(
            "lane_id",
            sa.Uuid(),
            sa.Computed("coalesce(sender_id, tenant_id)", persisted=True),
            nullable=False,
        ),
        sa.Column("event_type", sa.String(), nullable=True, comment="timeouts: no_open, no_click, elapsed"),
        sa.Column("cost", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "tries", sa.Integer(), server_default="0", nullable=False, comment="attempts that used one up"
        ),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("provider_message_id", sa.String(), nullable=True),
        sa.Column(
            "recipient", sa.String(), nullable=True, comment="the address it was submitted to, normalized"
        ),
        sa.Column(
            "status_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when status last changed",
        ),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "delivery_status",
            sa.String(),
            nullable=True,
            comment="what the provider last said: processed, delivered, bounce…",
        ),
        sa.Column(
            "watermark",
            sa.String(),
            nullable=True,
            comment="timeouts that fired without a full watermark: expired",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'send' and status in ('pending', 'enqueued', 'submitting', 'accepted', 'failed', 'skipped', 'cancelled', 'unknown', 'held')) or (kind = 'timeout' and status in ('pending', 'enqueued', 'fired', 'cancelled', 'held'))",
            name=op.f("ck_scheduled_actions_status"),
        ),
        sa.CheckConstraint("kind in ('send', 'timeout')", name=op.f("ck_scheduled_actions_kind")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sender_id"],
            ["senders.tenant_id", "senders.id"],
            name=op.f("fk_scheduled_actions_tenant_id_sender_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "visit_id"],
            ["visits.tenant_id", "visits.id"],
            name=op.f("fk_scheduled_actions_tenant_id_visit_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_scheduled_actions")),
        sa.UniqueConstraint(
            "tenant_id",
            "visit_id",
            "kind",
            "event_type",
            name=op.f("uq_scheduled_actions_tenant_id_visit_id_kind_event_type"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_actions_contact", "scheduled_actions", ["tenant_id", "contact_id"], unique=False)
    op.create_index(
        "ix_actions_due",
        "scheduled_actions",
        ["kind", "tenant_id", "lane_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_actions_held",
        "scheduled_actions",
        ["tenant_id", "campaign_id"],
        unique=False,
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_index(
        "ix_actions_in_flight",
        "scheduled_actions",
        ["kind", "status", "tenant_id", "lane_id", "status_at"],
        unique=False,
        postgresql_where=sa.text("status in ('enqueued', 'submitting', 'unknown')"),
    )
    op.create_index(
        "ix_actions_message",
        "scheduled_actions",
        ["tenant_id", "provider_message_id"],
        unique=False,
        postgresql_where=sa.text("provider_message_id is not null"),
    )
    op.create_index(
        "ix_actions_recipient",
        "scheduled_actions",
        ["tenant_id", "recipient", "status_at"],
        unique=False,
        postgresql_where=sa.text("recipient is not null"),
    )
    op.execute("create table deliveries_default partition of deliveries default")
    op.execute("create table attempts_default partition of attempts default")
