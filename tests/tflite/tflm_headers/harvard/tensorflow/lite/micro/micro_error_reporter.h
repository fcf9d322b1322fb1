// A stand-in for the error reporter that the interpreter took in 2020.
#ifndef STAND_IN_ERROR_REPORTER_H_
#define STAND_IN_ERROR_REPORTER_H_

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace tflite {

class MicroErrorReporter : public ErrorReporter {};

}  // namespace tflite

#endif  // STAND_IN_ERROR_REPORTER_H_
