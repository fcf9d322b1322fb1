// Motion of a Nano 33 BLE Sense. This is the file to edit, for another board or sensor.
//
// While the model runs, nothing is measured: readings that are due then repeat the last one.

// The board's revision, which is printed on its underside (1: no number, 2: "REV2").
#ifndef REVISION
#define REVISION 2
#endif

#if REVISION == 1
#include <Arduino_LSM9DS1.h>
#else
#include <Arduino_BMI270_BMM150.h>
#endif

const char* beginSensor() {
  return IMU.begin() ? nullptr : "no motion sensor: set REVISION in the tab read_sensor";
}

// Returns whether the sensor has a new window.
bool readSensor() {
  // Without a gyroscope the last three are unused.
  static float reading[6];
  static bool hasAcceleration = false;
  static bool hasRotation = ${namespace}::Sensor::kChannels == 3;
  static unsigned long last = 0;
  if (IMU.accelerationAvailable() && IMU.readAcceleration(reading[0], reading[1], reading[2])) {
    for (size_t axis = 0; axis < 3; ++axis) {
      reading[axis] *= ${namespace}::kAcceleration;
    }
    hasAcceleration = true;
  }
  if (${namespace}::Sensor::kChannels > 3 && IMU.gyroscopeAvailable() &&
      IMU.readGyroscope(reading[3], reading[4], reading[5])) {
    for (size_t axis = 3; axis < 6; ++axis) {
      reading[axis] *= ${namespace}::kRotation;
    }
    hasRotation = true;
  }
  if (!hasAcceleration || !hasRotation) {
    last = micros();
    return false;
  }
  if (micros() - last < ${namespace}::kSensorPeriod) {
    return false;
  }
  last += ${namespace}::kSensorPeriod;
  return sensor.add(reading);
}
