// The TensorFlow Lite file of ${name} (${model_bytes} bytes), kept in flash.
#ifndef ${guard}_MODEL_DATA_H_
#define ${guard}_MODEL_DATA_H_

namespace ${namespace} {

extern const unsigned char kModelData[];
extern const unsigned int kModelDataSize;

}  // namespace ${namespace}

#endif  // ${guard}_MODEL_DATA_H_
