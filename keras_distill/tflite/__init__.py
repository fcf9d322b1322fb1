"""The student on its way to the device: converted, checked, measured, packed."""

from keras_distill.tflite.analysis.boards import BOARDS, Board
from keras_distill.tflite.analysis.lint import Finding
from keras_distill.tflite.analysis.report import Report
from keras_distill.tflite.analysis.tensor_info import TensorInfo
from keras_distill.tflite.convert import export_tflite
from keras_distill.tflite.model import TFLiteModel
from keras_distill.tflite.runtime.verify import Verification

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
