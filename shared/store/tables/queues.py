"""What must survive Redis: partitions and their epochs, pauses; and the installation's own rows."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from shared.store.tables.base import Id, Time, belongs_to_tenant, made_at, metadata

installation = Table(
    "installation",
    metadata,
    Column("one", Integer, primary_key=True, server_default="1"),
    Column("id", Id, nullable=False),
    made_at(),
    CheckConstraint("one = 1", name="one"),
)

queues = Table(
    "queues",
    metadata,
    Column("name", String, primary_key=True),
    Column("partitions", Integer, nullable=False),
    made_at(),
)

queue_partitions = Table(
    "queue_partitions",
    metadata,
    Column("queue", String, ForeignKey("queues.name"), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("opening_at", Time),
    Column("opened_at", Time),
)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Id, primary_key=True),
    Column("queue", String, comment="null: every queue"),
    Column("tenant_id", Id, comment="null: every tenant"),
    Column("reason", String, nullable=False, server_default=""),
    made_at("paused_at"),
    belongs_to_tenant(),
    UniqueConstraint("queue", "tenant_id", postgresql_nulls_not_distinct=True),
)

gateway_beats = Table(
    "gateway_beats",
    metadata,
    Column("one", Integer, primary_key=True, server_default="1"),
    Column("at", Time, nullable=False, comment="when any gateway last said it serves"),
    CheckConstraint("one = 1", name="one"),
)

gateway_outages = Table(
    "gateway_outages",
    metadata,
    Column("from_at", Time, primary_key=True),
    Column("to_at", Time, nullable=False, index=True, comment="written by the first beat after the silence"),
)
