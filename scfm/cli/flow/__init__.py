"""``scfm flow``: check, try and publish call flows that are kept as files."""
