#include "${namespace}_data.h"

namespace ${namespace} {

alignas(16) const unsigned char kModelData[] = {
${model_data}
};

const unsigned int kModelDataSize = sizeof(kModelData);

}  // namespace ${namespace}
