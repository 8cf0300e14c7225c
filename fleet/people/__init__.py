"""Accounts, their roles, and how they prove who they are. See the modules."""
