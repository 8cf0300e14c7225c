"""``scripts/replicated``: PostgreSQL under Patroni, struck again and again while tablets report."""
