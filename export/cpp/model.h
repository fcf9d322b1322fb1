// ${name}: ${summary}
// Made by keras_distill.
#ifndef ${guard}_H_
#define ${guard}_H_

#include <stddef.h>
#include <stdint.h>
${arena_includes}
namespace ${namespace} {

// How the model holds its numbers: value = scale * (number - zero point).
using Input = ${input_type};
using Output = ${output_type};

constexpr size_t kInputSize = ${input_size};  // shape ${input_shape}
constexpr size_t kOutputSize = ${output_size};  // shape ${output_shape}

// The smallest arena that is expected to work on this processor, with some headroom.
${arena_size}

// Names of the classes, one per output value.
extern const char* const kLabels[kOutputSize];

// Prepares the model. Returns nullptr, or what went wrong. Call it once, before anything else.
const char* begin();

// Sets one value of the input, in the unit and scale that the model was trained with.
void setInput(size_t index, float value);

// The input as the model holds it, for numbers that are quantized already. run() may overwrite it
// with intermediate results: set all values before each run.
Input* input();

// Runs the model on the input. Returns nullptr, or what went wrong.
const char* run();

// The output as the model holds it.
const Output* output();

// One value of the output, as the Keras model would give it.
float score(size_t index);

// Index of the largest output value: the predicted class.
size_t best();

// Bytes of the arena that are in use after begin().
size_t arenaUsed();

}  // namespace ${namespace}

#endif  // ${guard}_H_
