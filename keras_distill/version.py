"""The package's version, read by the build without importing Keras."""

__version__ = "0.1.0"
