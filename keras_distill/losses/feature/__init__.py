"""Feature knowledge: the student's hidden layers imitate the teacher's."""
