"""Measurements of the server, each against a yardstick in the same run."""
