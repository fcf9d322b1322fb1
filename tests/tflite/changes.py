"""Changes of TensorFlow Lite files, to files that others could have made."""

import flatbuffers
from ai_edge_litert import schema_py_generated as schema_module


def changed(content, change):
    """Returns a file in which a function has changed the unpacked model."""
    model = schema_module.ModelT.InitFromObj(schema_module.Model.GetRootAsModel(content, 0))
    change(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
