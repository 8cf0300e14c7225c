"""Lessons: a class has a profile for a while; it begins, is seen to arrive, and ends by itself."""
