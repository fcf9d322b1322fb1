#include "${name}_model_data.h"

namespace ${name} {

alignas(16) const unsigned char kModelData[] = {
${model_data}
};

const unsigned int kModelDataSize = sizeof(kModelData);

}  // namespace ${name}
