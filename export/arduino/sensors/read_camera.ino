// An OV7675 at a Nano 33 BLE or Nano 33 BLE Sense, as in the Tiny Machine Learning Kit. This is the
// file to edit, for another camera: write its frame of 176 x 144 pixels in RGB565 to sensor.frame().
// On an ESP32 with a camera, esp_camera.h gives such frames: FRAMESIZE_QCIF, PIXFORMAT_RGB565.
//
// The frame takes 50,688 bytes of RAM besides the arena.

#include <Arduino_OV767X.h>

const char* beginSensor() {
  // One frame per second. The library takes 1 and 5.
  if (!Camera.begin(QCIF, RGB565, 1)) {
    return "the camera doesn't answer";
  }
  const bool suits = Camera.width() == ${namespace}::Sensor::kFrameWidth &&
                     Camera.height() == ${namespace}::Sensor::kFrameHeight;
  return suits ? nullptr : "the camera's frames are of another size";
}

// Returns whether the sensor has a new picture.
bool readSensor() {
  Camera.readFrame(sensor.frame());
  return true;
}
