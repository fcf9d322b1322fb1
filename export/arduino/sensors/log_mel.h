// Log-mel spectrograms of a microphone, as keras_distill.sensors.LogMel computes them, in float32.
#ifndef ${guard}_SENSOR_H_
#define ${guard}_SENSOR_H_

#include <math.h>
#include <stddef.h>
#include <stdint.h>

namespace ${namespace} {

class Sensor {
 public:
  enum : size_t {
    kFrame = ${frame},  // samples in a frame
    kHop = ${hop},  // samples from one frame to the next
    kFft = ${fft},  // length of the FFT
    kBands = ${bands},  // mel bands
    kFrames = ${frames},  // frames in a clip
    kStep = ${step},  // frames from one clip to the next
  };

  // Takes one sample. Returns whether a new clip is complete; its values are there until the next
  // sample.
  bool add(int16_t sample) {
    recent_[next_] = sample;
    next_ = (next_ + 1) % kFrame;
    if (++samples_ < static_cast<int32_t>(kFrame)) {
      return false;
    }
    samples_ -= static_cast<int32_t>(kHop);
    transform();
    oldest_ = (oldest_ + 1) % kFrames;
    if (++frames_ < kFrames) {
      return false;
    }
    frames_ -= kStep;
    finish();
    return true;
  }

  // Returns a value of the model's input, once a clip is complete.
  float value(size_t index) const { return (logarithm(index) - mean_) * factor_; }

  // Begins with an empty clip.
  void clear() {
    next_ = 0;
    oldest_ = 0;
    samples_ = 0;
    frames_ = 0;
  }

  // Takes the samples of the self-check: noise that swells.
  void addTestRecording() {
    uint32_t state = 1;
    for (uint32_t index = 0; index < kFrame + (kFrames - 1) * kHop; ++index) {
      state = state * 1664525u + 1013904223u;
      const uint32_t swell = index % 4096u;
      const int32_t noise = static_cast<int32_t>(((state >> 16) * swell) >> 12);
      add(static_cast<int16_t>(noise - 8 * static_cast<int32_t>(swell)));
    }
  }

 private:
  // Computes the power of the newest frame in each band.
  void transform() {
    static const float hann[kFrame] = {
${hann}};
    static const uint16_t starts[kBands] = {
${starts}};
    static const uint16_t counts[kBands] = {
${counts}};
    static const float weights[] = {
${weights}};
    float squares = 0.0f;
    for (size_t index = 0; index < kFft; ++index) {
      real_[index] = 0.0f;
      imaginary_[index] = 0.0f;
    }
    for (size_t index = 0; index < kFrame; ++index) {
      const float sample = recent_[(next_ + index) % kFrame] / 32768.0f;
      squares += sample * sample;
      real_[index] = sample * hann[index];
    }
    levels_[oldest_] = squares / kFrame;
    fft();
    const float* weight = weights;
    for (size_t band = 0; band < kBands; ++band) {
      float power = 0.0f;
      for (size_t bin = starts[band]; bin < static_cast<size_t>(starts[band] + counts[band]); ++bin) {
        power += *weight++ * (real_[bin] * real_[bin] + imaginary_[bin] * imaginary_[bin]);
      }
      powers_[oldest_ * kBands + band] = power;
    }
  }

  // The fast Fourier transform of real_ and imaginary_, in place.
  void fft() {
    static const float cosines[kFft / 2] = {
${cosines}};
    static const float sines[kFft / 2] = {
${sines}};
    // Into the order of reversed bits.
    for (size_t index = 1, reversed = 0; index < kFft; ++index) {
      size_t bit = kFft / 2;
      for (; reversed & bit; bit /= 2) {
        reversed ^= bit;
      }
      reversed ^= bit;
      if (index < reversed) {
        const float kept = real_[index];
        real_[index] = real_[reversed];
        real_[reversed] = kept;
      }
    }
    for (size_t half = 1; half < kFft; half *= 2) {
      const size_t turn = kFft / 2 / half;
      for (size_t start = 0; start < kFft; start += 2 * half) {
        for (size_t index = 0; index < half; ++index) {
          const size_t low = start + index, high = low + half;
          const float cosine = cosines[index * turn], sine = sines[index * turn];
          const float real = real_[high] * cosine + imaginary_[high] * sine;
          const float imaginary = imaginary_[high] * cosine - real_[high] * sine;
          real_[high] = real_[low] - real;
          imaginary_[high] = imaginary_[low] - imaginary;
          real_[low] += real;
          imaginary_[low] += imaginary;
        }
      }
    }
  }

  // Computes what the values of a complete clip are scaled with.
  void finish() {
    gain_ = 1.0f;
    mean_ = 0.0f;
    factor_ = 1.0f;
    if (${level}) {
      float squares = 0.0f;
      for (float level : levels_) {
        squares += level;
      }
      gain_ = 1.0f / (squares / kFrames + ${least_power});
    }
    if (${standardize}) {
      const size_t size = kFrames * kBands;
      float sum = 0.0f, squares = 0.0f;
      for (size_t index = 0; index < size; ++index) {
        sum += logarithm(index);
      }
      mean_ = sum / size;
      for (size_t index = 0; index < size; ++index) {
        const float difference = logarithm(index) - mean_;
        squares += difference * difference;
      }
      factor_ = 1.0f / sqrtf(squares / size + ${least_variance});
    }
  }

  float logarithm(size_t index) const {
    const float power = powers_[(oldest_ * kBands + index) % (kFrames * kBands)];
    return logf(power * gain_ + ${offset});
  }

  // All begin as 0, so that the object takes no flash.
  int16_t recent_[kFrame] = {};
  float real_[kFft] = {}, imaginary_[kFft] = {};
  float powers_[kFrames * kBands] = {}, levels_[kFrames] = {};
  float gain_ = 0.0f, mean_ = 0.0f, factor_ = 0.0f;
  size_t next_ = 0, oldest_ = 0;
  // Samples towards a frame, less than none where frames have gaps, and frames towards a clip.
  int32_t samples_ = 0;
  size_t frames_ = 0;
};

// Samples per second of the microphone, and how many of them are averaged into one of the clip.
constexpr unsigned long kMicrophoneRate = ${microphone_rate};
constexpr int kAveraged = ${averaged};

}  // namespace ${namespace}

#endif  // ${guard}_SENSOR_H_
