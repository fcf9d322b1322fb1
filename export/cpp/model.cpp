#include "${namespace}.h"

#include <math.h>

${includes}#include "${namespace}_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

// TensorFlow Lite Micro of 2020, which Harvard_TinyMLx has, keeps the schema's version in a header
// of its own, and its interpreter takes an error reporter.
#ifndef TFLITE_SCHEMA_VERSION
#include "tensorflow/lite/version.h"
#endif
#if __has_include("tensorflow/lite/micro/micro_error_reporter.h")
#include "tensorflow/lite/micro/micro_error_reporter.h"
#define ${guard}_TAKES_REPORTER
#endif

namespace ${namespace} {
namespace {

// Exactly the operators of this model.
constexpr unsigned int kOperatorCount = ${operator_count};

alignas(16) uint8_t arena[kArenaSize];
tflite::MicroInterpreter* interpreter = nullptr;

using Resolver = tflite::MicroMutableOpResolver<kOperatorCount>;

// Returns nullptr, or the operator that this TensorFlow Lite Micro can't add.
const char* addOperators(Resolver& resolver) {
${add_operators}
  return nullptr;
}

}  // namespace

const char* const kLabels[kOutputSize] = {${labels}};

const char* begin() {
  const tflite::Model* model = tflite::GetModel(kModelData);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    return "the model has another schema version than this TensorFlow Lite Micro";
  }
  static Resolver resolver;
  if (interpreter == nullptr) {
    const char* missing = addOperators(resolver);
    if (missing != nullptr) {
      return missing;
    }
#ifdef ${guard}_TAKES_REPORTER
    static tflite::MicroErrorReporter reporter;
    static tflite::MicroInterpreter prepared(model, resolver, arena, kArenaSize, &reporter);
#else
    static tflite::MicroInterpreter prepared(model, resolver, arena, kArenaSize);
#endif
    interpreter = &prepared;
  }
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    return "the tensors can't be allocated: raise kArenaSize in ${namespace}.h; if that doesn't help, "
           "this TensorFlow Lite Micro can't run one of the operators";
  }
  return nullptr;
}

Input* input() { return interpreter->input(0)->${input_field}; }

const Output* output() { return interpreter->output(0)->${output_field}; }

void setInput(size_t index, float value) {
${set_input}
}

const char* run() {
  return interpreter->Invoke() == kTfLiteOk ? nullptr : "the model could not be invoked";
}

float score(size_t index) {
  return ${score};
}

size_t best() {
  size_t winner = 0;
  for (size_t index = 1; index < kOutputSize; ++index) {
    if (output()[index] > output()[winner]) {
      winner = index;
    }
  }
  return winner;
}

size_t arenaUsed() { return interpreter->arena_used_bytes(); }

}  // namespace ${namespace}
