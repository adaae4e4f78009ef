"""Postgres: tables, statements, migrations. The only room that speaks SQL."""
