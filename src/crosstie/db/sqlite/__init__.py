"""The marketing database in a SQLite file."""
