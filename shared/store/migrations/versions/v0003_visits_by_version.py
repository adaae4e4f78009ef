"""Visits by their campaign's version: pages count where contacts went, for a version at a time."""

from alembic import op

from shared.store.migrations.online import build_index

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Another index in the place of one of the same beginning: the previous release counts by it as well."""
    with op.get_context().autocommit_block():
        build_index(
            "ix_visits_version", "visits", "(tenant_id, campaign_id, campaign_version, node_id, edge)"
        )
    op.drop_index("ix_visits_node", table_name="visits", if_exists=True)
