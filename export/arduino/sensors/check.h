// What Python computes of the test recording, by which the preprocessing checks itself.
#ifndef ${guard}_SENSOR_CHECK_H_
#define ${guard}_SENSOR_CHECK_H_

#include <math.h>

#include "${namespace}_sensor.h"

namespace ${namespace} {

// Larger differences are not rounding.
constexpr float kSensorTolerance = ${check_tolerance};

// Returns the largest difference to Python's values, or NaN. The sensor is empty afterwards.
inline float checkSensor(Sensor& sensor) {
  constexpr size_t stride = ${check_stride};
  static const float expected[] = {
${check_values}};
  sensor.clear();
  sensor.addTestRecording();
  float largest = 0.0f;
  for (size_t index = 0; index < sizeof(expected) / sizeof(*expected); ++index) {
    const float difference = fabsf(sensor.value(index * stride) - expected[index]);
    if (difference != difference) {
      return difference;
    }
    largest = difference > largest ? difference : largest;
  }
  sensor.clear();
  return largest;
}

}  // namespace ${namespace}

#endif  // ${guard}_SENSOR_CHECK_H_
