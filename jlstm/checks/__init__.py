"""Checks behind every error: each names the argument and both values."""
