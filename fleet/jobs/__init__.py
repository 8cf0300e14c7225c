"""Scheduled work: the timetable, and what runs it once however many servers there are. See the modules."""
