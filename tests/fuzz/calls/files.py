"""Calls that read a damaged file."""

CALLS = []
