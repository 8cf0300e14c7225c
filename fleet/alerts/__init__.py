"""Alerts: who hears of what, when, by which way, and whether it has arrived."""
