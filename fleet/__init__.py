"""The school tablet fleet server: doors above, domain areas below. See fleet/README.md for the map."""
