"""Runs migrations on the connection that `shared.store.migrate` hands over."""

from alembic import context

from shared.store.migrate import ours
from shared.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_object=ours,
    compare_server_default=False,
    transaction_per_migration=True,  # a migration may build indexes outside of transactions
)
with context.begin_transaction():
    context.run_migrations()
