"""The table of valid calls: one for each public class, function and method."""

from tests.fuzz.calls import (
    cache,
    comparison,
    compression,
    data,
    files,
    losses,
    pictures,
    schemes,
    sensors,
    tflite,
    training,
)

MODULES = (losses, training, cache, comparison, compression, tflite, data, files, schemes, sensors)
MODULES += (pictures,)
CALLS = {call.name: call for module in MODULES for call in module.CALLS}
