// The one file that you edit: where the input of the model comes from.
//
// loop() calls readInput() again and again. Set all ${input_size} input values (shape ${input_shape})
// with ${namespace}::setInput(index, value), scaled as in training, and return true when they are
// complete. It doesn't have to happen in one call: return false until then.
bool readInput() {
  return false;
}

// An analog sensor, read every 10 ms. Take the rate and the scale of your training data:
//
//   bool readInput() {
//     for (size_t index = 0; index < ${namespace}::kInputSize; ++index) {
//       ${namespace}::setInput(index, analogRead(A0) / 1023.0f);
//       delay(10);
//     }
//     return true;
//   }
//
// The accelerometer of a Nano 33 BLE Sense, three values at a time:
//
//   #include <Arduino_LSM9DS1.h>
//
//   bool readInput() {
//     static const bool isStarted = IMU.begin();
//     static size_t filled = 0;
//     float x, y, z;
//     if (!isStarted || !IMU.accelerationAvailable() || !IMU.readAcceleration(x, y, z)) {
//       return false;
//     }
//     const float values[] = {x, y, z};
//     for (float value : values) {
//       if (filled < ${namespace}::kInputSize) {
//         ${namespace}::setInput(filled++, value);
//       }
//     }
//     if (filled < ${namespace}::kInputSize) {
//       return false;
//     }
//     filled = 0;
//     return true;
//   }
