"""Findings: open or closed facts about a tablet that somebody should look at. See the modules."""
