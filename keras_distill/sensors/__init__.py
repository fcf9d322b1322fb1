"""From a sensor's readings to a model's input: the same numbers in training and on a board."""

from keras_distill.sensors.camera import Camera
from keras_distill.sensors.log_mel import LogMel
from keras_distill.sensors.sensor import Sensor
from keras_distill.sensors.window import Window

__all__ = [
    "Camera",
    "LogMel",
    "Sensor",
    "Window",
]
