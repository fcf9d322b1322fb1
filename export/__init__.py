"""The device-side sources, shipped in the wheel as `keras_distill.device`."""
