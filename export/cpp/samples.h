// Real samples with their right answers, by which the model checks itself on the device.
#ifndef ${guard}_SAMPLES_H_
#define ${guard}_SAMPLES_H_

#include "${namespace}.h"

namespace ${namespace} {

constexpr size_t kSampleCount = ${sample_count};

// Copies a stored sample into the model and runs it. Returns nullptr, or what went wrong.
const char* runSample(size_t sample);

// Returns how many output values of the last run aren't what TensorFlow Lite Micro answered to this
// sample on a computer.
size_t countDifferences(size_t sample);

}  // namespace ${namespace}

#endif  // ${guard}_SAMPLES_H_
