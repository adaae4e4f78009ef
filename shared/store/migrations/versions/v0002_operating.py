"""The audit, pins, and indexes to list failed sends and deliveries by, and to find what a pause held."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

from shared.store.migrations.online import build_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only add: the previous release knows nothing of it and goes on."""
    with op.get_context().autocommit_block():
        build_index(
            "ix_actions_failed",
            "scheduled_actions",
            "(tenant_id, id) where kind = 'send' and status = 'failed'",
        )
        build_index(
            "ix_actions_held_why",
            "scheduled_actions",
            "(reason, kind, tenant_id, campaign_id) where case when status = 'held' then true else false end",
        )
        build_index("ix_deliveries_failed", "deliveries", "(tenant_id, id) where state = 'failed'")
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "actor", sa.String(), nullable=False, comment="OUTREACH_ACTOR or the system's user; a page's user"
        ),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False, comment="pause, jobs.retry, tenants.weight…"),
        sa.Column(
            "target", sa.String(), nullable=False, comment="what it was done to: ids and names of ours"
        ),
        sa.Column("tenant_id", sa.Uuid(), nullable=True, comment="null: of no tenant alone"),
        sa.Column(
            "count", sa.Integer(), server_default="1", nullable=False, comment="how many rows it changed"
        ),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=Text()),
            server_default="{}",
            nullable=False,
            comment="never contact data",
        ),
        sa.CheckConstraint("via in ('page', 'cli')", name=op.f("ck_audit_via")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_tenant", "audit", ["tenant_id", "id"], unique=False)
    op.create_table(
        "scaling_pins",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.CheckConstraint("workers >= 0", name=op.f("ck_scaling_pins_workers")),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_scaling_pins")),
    )
