"""Attention knowledge: the student looks where the teacher looks."""
