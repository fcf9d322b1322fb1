// Crop and scale of a camera's frames, bit by bit as keras_distill.sensors.Camera computes them.
#ifndef ${guard}_SENSOR_H_
#define ${guard}_SENSOR_H_

#include <stddef.h>
#include <stdint.h>

namespace ${namespace} {

class Sensor {
 public:
  enum : size_t {
    kFrameHeight = ${frame_height},
    kFrameWidth = ${frame_width},
    kFrameBytes = 2 * kFrameHeight * kFrameWidth,
    kHeight = ${height},
    kWidth = ${width},
    kChannels = ${channels},  // 3: red, green, blue; 1: gray
  };

  // Where the camera writes its frame: RGB565, the upper byte of each pixel first.
  uint8_t* frame() { return frame_; }

  // Returns a value of the model's input.
  float value(size_t index) const {
    static const float means[kChannels] = {
${means}};
    static const float factors[kChannels] = {
${factors}};
    const size_t channel = index % kChannels;
    const size_t column = index / kChannels % kWidth, row = index / kChannels / kWidth;
    uint32_t sums[3] = {0, 0, 0};
    uint32_t count = 0;
    const size_t bottom = end(row, kCropHeight, kHeight), right = end(column, kCropWidth, kWidth);
    for (size_t y = row * kCropHeight / kHeight; y < bottom; ++y) {
      for (size_t x = column * kCropWidth / kWidth; x < right; ++x) {
        const uint8_t* pixel = frame_ + 2 * ((kTop + y) * kFrameWidth + kLeft + x);
        const uint32_t word = pixel[0] * 256u + pixel[1];
        const uint32_t red = word >> 11, green = word >> 5 & 63u, blue = word & 31u;
        // The upper bits are repeated below, so that white is 255.
        sums[0] += red << 3 | red >> 2;
        sums[1] += green << 2 | green >> 4;
        sums[2] += blue << 3 | blue >> 2;
        ++count;
      }
    }
    for (uint32_t& sum : sums) {
      sum = (sum + count / 2) / count;
    }
    const uint32_t color =
        kChannels == 1 ? (77 * sums[0] + 150 * sums[1] + 29 * sums[2] + 128) >> 8 : sums[channel];
    return (static_cast<float>(color) - means[channel]) * factors[channel];
  }

  // Begins with a black frame.
  void clear() {
    for (uint8_t& byte : frame_) {
      byte = 0;
    }
  }

  // Takes the frame of the self-check: red to the right, green downwards, and blue noise.
  void addTestRecording() {
    uint32_t state = 1;
    uint8_t* byte = frame_;
    for (uint32_t y = 0; y < kFrameHeight; ++y) {
      for (uint32_t x = 0; x < kFrameWidth; ++x) {
        state = state * 1664525u + 1013904223u;
        const uint32_t red = x * 31u / (kFrameWidth - 1), green = y * 63u / (kFrameHeight - 1);
        const uint32_t word = red << 11 | green << 5 | state >> 27;
        *byte++ = static_cast<uint8_t>(word >> 8);
        *byte++ = static_cast<uint8_t>(word & 255u);
      }
    }
  }

 private:
  // The part of the frame that has the model's aspect ratio.
  enum : size_t {
    kTop = ${top},
    kLeft = ${left},
    kCropHeight = ${crop_height},
    kCropWidth = ${crop_width},
  };

  // Returns the end of the pixels that are averaged into one, at least one of them.
  static size_t end(size_t index, size_t from, size_t to) {
    const size_t start = index * from / to, stop = (index + 1) * from / to;
    return stop > start ? stop : start + 1;
  }

  uint8_t frame_[kFrameBytes] = {};
};

}  // namespace ${namespace}

#endif  // ${guard}_SENSOR_H_
