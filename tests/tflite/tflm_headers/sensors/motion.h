// A stand-in for the motion sensors' libraries: always the same motion.
#ifndef STAND_IN_MOTION_H_
#define STAND_IN_MOTION_H_

struct MotionSensor {
  int begin() { return 1; }
  int accelerationAvailable() { return 1; }
  int gyroscopeAvailable() { return 1; }
  int readAcceleration(float& x, float& y, float& z) {
    x = 0.25f;
    y = 2.0f;
    z = -1.0f;
    return 1;
  }
  int readGyroscope(float& x, float& y, float& z) {
    x = 90.0f;
    y = 30.0f;
    z = -60.0f;
    return 1;
  }
};

static MotionSensor IMU;

#endif  // STAND_IN_MOTION_H_
