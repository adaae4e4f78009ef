"""Tenants, who may call us for them, whom they send as, and what holds for them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

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

tenants = Table(
    "tenants",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("weight", Integer, nullable=False, server_default="1"),
    Column("unknown_policy", String, nullable=False, server_default="fail"),
    made_at(),
    CheckConstraint("weight > 0", name="weight"),
)

api_keys = Table(
    "api_keys",
    metadata,
    *tenant_key(),
    Column("name", String, nullable=False),
    Column("prefix", String, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
    Column("scopes", ARRAY(String), nullable=False),
    Column("expires_at", Time),
    Column("revoked_at", Time),
    made_at(),
    belongs_to_tenant(),
)

provider_accounts = Table(
    "provider_accounts",
    metadata,
    *tenant_key(),
    Column("provider", String, nullable=False),
    Column("credentials", LargeBinary, nullable=False, comment="sealed JSON"),
    Column("base_url", String),
    made_at(),
    belongs_to_tenant(),
)

senders = Table(
    "senders",
    metadata,
    *tenant_key(),
    Column("provider_account_id", Id, nullable=False),
    Column("channel", String, nullable=False),
    Column("address", String, nullable=False),
    Column("name", String, nullable=False, server_default=""),
    Column("ambiguous", Integer, nullable=False, server_default="0", comment="ambiguous outcomes in a row"),
    made_at(),
    belongs_to_tenant(),
    points_to("provider_accounts", "provider_account_id"),
    UniqueConstraint("tenant_id", "channel", "address"),
    one_of("channel", "email", "sms"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    *tenant_key(),
    Column("provider", String, nullable=False),
    made_at(),
    belongs_to_tenant(),
    UniqueConstraint("id"),
)

webhook_keys = Table(
    "webhook_keys",
    metadata,
    *tenant_key(),
    Column("endpoint_id", Id, nullable=False),
    Column("secret", LargeBinary, nullable=False, comment="sealed public key or auth token"),
    Column("expires_at", Time),
    made_at(),
    points_to("webhook_endpoints", "endpoint_id"),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    *tenant_key(),
    Column("channel", String, nullable=False),
    Column("sender_id", Id, comment="null: the whole tenant on this channel"),
    Column(
        "kind",
        String,
        nullable=False,
    ),
    Column("limit", BigInteger, nullable=False),
    made_at("updated_at"),
    belongs_to_tenant(),
    points_to("senders", "sender_id"),
    UniqueConstraint("tenant_id", "channel", "sender_id", "kind", postgresql_nulls_not_distinct=True),
    one_of("kind", "minute", "hour", "day", "concurrent"),
    CheckConstraint('"limit" >= 0', name="limit"),
)

closures = Table(
    "closures",
    metadata,
    *tenant_key(),
    Column("channel", String, nullable=False),
    Column("sender_id", Id, comment="null: the whole tenant on this channel"),
    Column("reason", String, nullable=False, comment="unauthorized, rate_limited, ambiguous"),
    Column("until", Time, comment="null: until an operator reopens it"),
    Column("strikes", Integer, nullable=False, server_default="1"),
    made_at("closed_at"),
    belongs_to_tenant(),
    points_to("senders", "sender_id"),
    UniqueConstraint("tenant_id", "channel", "sender_id", "reason", postgresql_nulls_not_distinct=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", Id, primary_key=True),
    Column("key", String, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", Integer, comment="null while the first request runs"),
    Column("response", LargeBinary),
    made_at(),
    belongs_to_tenant(),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
