"""Analysis of a TensorFlow Lite file: lint, costs, memory plan, boards, report."""
