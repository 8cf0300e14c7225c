"""Profiles' versions, assignments, effective profiles and schedules. See the modules."""
