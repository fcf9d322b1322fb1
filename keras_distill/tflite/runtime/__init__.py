"""The runtimes that check a file: LiteRT and TensorFlow Lite Micro."""
