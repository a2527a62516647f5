"""Migrations of the schema, one file a version; Alembic runs them."""
