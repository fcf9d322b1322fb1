// Real samples as the model takes them, and what TensorFlow Lite Micro answered on a computer.
#ifndef ${guard}_SAMPLES_H_
#define ${guard}_SAMPLES_H_

#include <${name}.h>

constexpr size_t kSampleCount = ${sample_count};

const ${name}::Input kSamples[kSampleCount][${name}::kInputSize] = {
${samples}
};

const ${name}::Output kGolden[kSampleCount][${name}::kOutputSize] = {
${golden}
};

#endif  // ${guard}_SAMPLES_H_
