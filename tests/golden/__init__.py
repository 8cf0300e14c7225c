"""Recorded exchanges of the native protocol, and their replay against our own parts, other libraries and the real server."""
