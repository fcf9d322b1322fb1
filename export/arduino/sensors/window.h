// Sliding windows over motion, bit by bit as keras_distill.sensors.Window computes them.
#ifndef ${guard}_SENSOR_H_
#define ${guard}_SENSOR_H_

#include <stddef.h>
#include <stdint.h>

namespace ${namespace} {

class Sensor {
 public:
  enum : size_t {
    kLength = ${length},  // readings in a window
    kChannels = ${channels},  // values of a reading
    kStep = ${step},  // readings from one window to the next
  };

  // Takes one reading, in the units of the training data. Returns whether a new window is complete.
  bool add(const float* reading) {
    static const float means[kChannels] = {
${means}};
    static const float factors[kChannels] = {
${factors}};
    for (size_t channel = 0; channel < kChannels; ++channel) {
      values_[oldest_ * kChannels + channel] = (reading[channel] - means[channel]) * factors[channel];
    }
    oldest_ = (oldest_ + 1) % kLength;
    if (++readings_ < kLength) {
      return false;
    }
    readings_ -= kStep;
    return true;
  }

  // Returns a value of the model's input, once a window is complete.
  float value(size_t index) const {
    return values_[(oldest_ * kChannels + index) % (kLength * kChannels)];
  }

  // Begins with an empty window.
  void clear() {
    oldest_ = 0;
    readings_ = 0;
  }

  // Takes the readings of the self-check.
  void addTestRecording() {
    uint32_t state = 1;
    for (size_t reading = 0; reading < kLength; ++reading) {
      float values[kChannels];
      for (size_t channel = 0; channel < kChannels; ++channel) {
        state = state * 1664525u + 1013904223u;
        values[channel] = (static_cast<int32_t>(state >> 16) - 32768) / 8192.0f;
      }
      add(values);
    }
  }

 private:
  // All begin as 0, so that the object takes no flash.
  float values_[kLength * kChannels] = {};
  size_t oldest_ = 0;
  // Towards a window.
  size_t readings_ = 0;
};

// Microseconds from one reading to the next.
constexpr unsigned long kSensorPeriod = ${period};

// What the board's units, g and degrees per second, are multiplied by.
constexpr float kAcceleration = ${acceleration};
constexpr float kRotation = ${rotation};

}  // namespace ${namespace}

#endif  // ${guard}_SENSOR_H_
