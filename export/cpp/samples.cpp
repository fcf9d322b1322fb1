#include "${namespace}_samples.h"

#include <math.h>

namespace ${namespace} {
namespace {

const Input kSamples[kSampleCount][kInputSize] = {
${samples}
};

const Output kGolden[kSampleCount][kOutputSize] = {
${golden}
};

// Kernels that were made for one processor may round differently by this much.
constexpr float kTolerance = ${tolerance};

}  // namespace

const char* runSample(size_t sample) {
  for (size_t index = 0; index < kInputSize; ++index) {
    input()[index] = kSamples[sample][index];
  }
  return run();
}

size_t countDifferences(size_t sample) {
  size_t differences = 0;
  for (size_t index = 0; index < kOutputSize; ++index) {
    const float answer = static_cast<float>(output()[index]);
    const float difference = fabsf(answer - static_cast<float>(kGolden[sample][index]));
    // NaN is a difference too.
    if (!(difference <= kTolerance)) {
      ++differences;
    }
  }
  return differences;
}

}  // namespace ${namespace}
