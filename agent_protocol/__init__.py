"""The native wire protocol between a tablet and its server. The specification is README.md beside this file."""
