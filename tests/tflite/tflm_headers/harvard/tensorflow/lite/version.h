// A stand-in for the header that told the schema's version in 2020.
#ifndef STAND_IN_VERSION_H_
#define STAND_IN_VERSION_H_

#define TFLITE_SCHEMA_VERSION (3)

#endif  // STAND_IN_VERSION_H_
