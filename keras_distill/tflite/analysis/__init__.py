"""What a TensorFlow Lite file holds, and what it asks of a device."""
