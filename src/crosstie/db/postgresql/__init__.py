"""The marketing database in PostgreSQL."""
