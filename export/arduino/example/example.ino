// ${name}: checks the model on stored samples, then is ready for your sensor.
//
// Needs the library Chirale_TensorFLowLite (nothing on an ESP32). The serial monitor, at 115200
// baud, shows the answer and the time for each sample, and PASS or FAIL at the end.

#include <${name}.h>

#include "${name}_samples.h"

bool isReady = false;

// Copies a stored sample into the model and runs it. Returns nullptr, or what went wrong.
const char* runSample(size_t sample) {
  for (size_t index = 0; index < ${name}::kInputSize; ++index) {
    ${name}::input()[index] = kSamples[sample][index];
  }
  return ${name}::run();
}

// Returns how many output values differ from the stored ones.
size_t countDifferences(size_t sample) {
  size_t differences = 0;
  for (size_t index = 0; index < ${name}::kOutputSize; ++index) {
    if (${name}::output()[index] != kGolden[sample][index]) {
      ++differences;
    }
  }
  return differences;
}

// Runs all stored samples. Returns how many of them were not as stored.
size_t checkSamples() {
  size_t failures = 0;
  for (size_t sample = 0; sample < kSampleCount; ++sample) {
    const unsigned long start = micros();
    const char* error = runSample(sample);
    const unsigned long duration = micros() - start;
    const size_t differences = error == nullptr ? countDifferences(sample) : 0;
    Serial.print("sample ");
    Serial.print(static_cast<unsigned int>(sample));
    Serial.print(": ");
    Serial.print(error == nullptr ? ${name}::kLabels[${name}::best()] : error);
    Serial.print(", ");
    Serial.print(duration);
    Serial.print(" us");
    if (error != nullptr || differences > 0) {
      ++failures;
      Serial.print(", ");
      Serial.print(static_cast<unsigned int>(differences));
      Serial.print(" output values differ");
    }
    Serial.println();
  }
  return failures;
}

void setup() {
  Serial.begin(115200);
  // Boards with native USB wait for the monitor, but not forever.
  for (int waited = 0; !Serial && waited < 5000; waited += 10) {
    delay(10);
  }
  const char* error = ${name}::begin();
  if (error != nullptr) {
    Serial.print("FAIL: ");
    Serial.println(error);
    return;
  }
  Serial.print("arena: ");
  Serial.print(static_cast<unsigned int>(${name}::arenaUsed()));
  Serial.print(" of ");
  Serial.print(static_cast<unsigned int>(${name}::kArenaSize));
  Serial.println(" bytes");
  const size_t failures = checkSamples();
  if (failures == 0) {
    Serial.println("PASS");
  } else {
    Serial.print("FAIL: ");
    Serial.print(static_cast<unsigned int>(failures));
    Serial.println(" samples differ");
  }
  isReady = failures == 0;
}

// Your sensor goes here: set all ${input_size} input values with ${name}::setInput(index, value),
// scaled as in training, and return true when they are complete.
bool readInput() { return false; }

void loop() {
  if (!isReady || !readInput()) {
    return;
  }
  const char* error = ${name}::run();
  Serial.println(error == nullptr ? ${name}::kLabels[${name}::best()] : error);
}
