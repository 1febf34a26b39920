"""Flows to read and to copy: see docs/writing-a-flow.md."""
