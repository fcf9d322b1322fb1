"""The student on its way to the device: converted, checked, measured, packed."""

from keras_distill.tflite.boards import BOARDS, Board
from keras_distill.tflite.convert import export_tflite
from keras_distill.tflite.lint import Finding
from keras_distill.tflite.model import TFLiteModel
from keras_distill.tflite.report import Report
from keras_distill.tflite.tensor_info import TensorInfo
from keras_distill.tflite.verify import Verification

__all__ = [
    "BOARDS",
    "Board",
    "Finding",
    "Report",
    "TFLiteModel",
    "TensorInfo",
    "Verification",
    "export_tflite",
]
