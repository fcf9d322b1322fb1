// A stand-in for the op resolver: refuses one operator too many, and the same one twice.
#ifndef STAND_IN_RESOLVER_H_
#define STAND_IN_RESOLVER_H_

#include <string.h>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

class OpResolver {
 public:
  virtual ~OpResolver() = default;
};

template <unsigned int kCount>
class MicroMutableOpResolver : public OpResolver {
 public:
#define STAND_IN_ADD(NAME) \
  TfLiteStatus Add##NAME() { return Add(#NAME); }
  STAND_IN_ADD(Add)
  STAND_IN_ADD(AveragePool2D)
  STAND_IN_ADD(Conv2D)
  STAND_IN_ADD(DepthwiseConv2D)
  STAND_IN_ADD(FullyConnected)
  STAND_IN_ADD(MaxPool2D)
  STAND_IN_ADD(Mean)
  STAND_IN_ADD(Reshape)
  STAND_IN_ADD(Softmax)
#undef STAND_IN_ADD

 private:
  TfLiteStatus Add(const char* name) {
    for (unsigned int i = 0; i < length_; ++i) {
      if (strcmp(names_[i], name) == 0) {
        return kTfLiteError;
      }
    }
    if (length_ == kCount) {
      return kTfLiteError;
    }
    names_[length_++] = name;
    return kTfLiteOk;
  }

  const char* names_[kCount];
  unsigned int length_ = 0;
};

}  // namespace tflite

#endif  // STAND_IN_RESOLVER_H_
