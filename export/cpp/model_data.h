// The TensorFlow Lite file of ${name} (${model_bytes} bytes), kept in flash.
#ifndef ${guard}_MODEL_DATA_H_
#define ${guard}_MODEL_DATA_H_

namespace ${name} {

extern const unsigned char kModelData[];
extern const unsigned int kModelDataSize;

}  // namespace ${name}

#endif  // ${guard}_MODEL_DATA_H_
