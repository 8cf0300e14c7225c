"""Tests of the profiles library."""
