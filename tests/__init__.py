"""Tests: all of them."""
