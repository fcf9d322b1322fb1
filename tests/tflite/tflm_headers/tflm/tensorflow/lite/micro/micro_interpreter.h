// A stand-in for the interpreter: answers stored inputs with stored outputs, anything else with 0.
#ifndef STAND_IN_INTERPRETER_H_
#define STAND_IN_INTERPRETER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifndef STAND_IN_OF_2020
#define TFLITE_SCHEMA_VERSION (3)
#endif

struct TfLiteTensor {
  union {
    int8_t* int8;
    int16_t* i16;
    float* f;
  } data;
};

namespace tflite {

struct Script {
  const void* inputs;
  const void* outputs;
  size_t count, input_bytes, output_bytes, needed_arena;
};

// Every test links its own.
extern const Script script;

class ErrorReporter {};

class MicroInterpreter {
 public:
#ifdef STAND_IN_OF_2020
  MicroInterpreter(const Model*, const OpResolver&, uint8_t* arena, size_t arena_size,
                   ErrorReporter*)
#else
  MicroInterpreter(const Model*, const OpResolver&, uint8_t* arena, size_t arena_size)
#endif
      : aligned_(reinterpret_cast<uintptr_t>(arena) % 16 == 0), arena_size_(arena_size) {
    input_.data.int8 = reinterpret_cast<int8_t*>(input_bytes_);
    output_.data.int8 = reinterpret_cast<int8_t*>(output_bytes_);
  }
  TfLiteStatus AllocateTensors() {
    return aligned_ && arena_size_ >= script.needed_arena ? kTfLiteOk : kTfLiteError;
  }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t arena_used_bytes() const { return script.needed_arena; }
  TfLiteStatus Invoke() {
    std::memset(output_bytes_, 0, script.output_bytes);
    for (size_t i = 0; i < script.count; ++i) {
      const char* known = static_cast<const char*>(script.inputs) + i * script.input_bytes;
      if (std::memcmp(known, input_bytes_, script.input_bytes) == 0) {
        const char* answer = static_cast<const char*>(script.outputs) + i * script.output_bytes;
        std::memcpy(output_bytes_, answer, script.output_bytes);
      }
    }
    return kTfLiteOk;
  }

 private:
  alignas(16) char input_bytes_[65536] = {};
  alignas(16) char output_bytes_[65536] = {};
  TfLiteTensor input_, output_;
  bool aligned_;
  size_t arena_size_;
};

}  // namespace tflite

#endif  // STAND_IN_INTERPRETER_H_
