"""The user's guide, chapter by chapter."""
