"""Alembic migrations: expand, then contract in a later release."""
