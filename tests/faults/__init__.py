"""Faults under load: what is made to happen to a server, and what must be so afterwards (fleet/docs/faults.md)."""
