"""Relation knowledge: the student relates samples, or channels, as the teacher does."""
