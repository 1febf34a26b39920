"""Backups: the whole database in one file, and back into an empty one: see docs/decisions/0025."""
