"""Response knowledge: the student learns what the teacher answers."""
