// ${name}: checks the model on stored samples, then runs it on your sensor.
//
// The serial monitor, at 115200 baud, shows the answer and the time for each sample, and PASS or
// FAIL at the end. Your sensor goes into readInput(), in the tab read_input.

#include <${namespace}.h>
#include <${namespace}_samples.h>

bool isReady = false;

// Prints the class of the last run, or its value if the model has a single output.
void printAnswer() {
  if (${namespace}::kOutputSize == 1) {
    Serial.print(${namespace}::score(0));
  } else {
    Serial.print(${namespace}::kLabels[${namespace}::best()]);
  }
}

// Runs a stored sample and prints what came out. Returns whether it was as stored.
bool checkSample(size_t sample) {
  const unsigned long start = micros();
  const char* error = ${namespace}::runSample(sample);
  const unsigned long duration = micros() - start;
  Serial.print("sample ");
  Serial.print(static_cast<unsigned int>(sample));
  Serial.print(": ");
  if (error != nullptr) {
    Serial.println(error);
    return false;
  }
  printAnswer();
  Serial.print(", ");
  Serial.print(duration);
  Serial.print(" us");
  const size_t differences = ${namespace}::countDifferences(sample);
  if (differences > 0) {
    Serial.print(", ");
    Serial.print(static_cast<unsigned int>(differences));
    Serial.print(" output values differ");
  }
  Serial.println();
  return differences == 0;
}

// Runs all stored samples. Returns whether all were as stored.
bool checkSamples() {
  unsigned int failures = 0;
  for (size_t sample = 0; sample < ${namespace}::kSampleCount; ++sample) {
    failures += checkSample(sample) ? 0 : 1;
  }
  if (failures == 0) {
    Serial.println("PASS");
  } else {
    Serial.print("FAIL: ");
    Serial.print(failures);
    Serial.println(" samples differ");
  }
  return failures == 0;
}

void setup() {
  Serial.begin(115200);
  // Boards with native USB wait for the monitor, but not forever.
  for (int waited = 0; !Serial && waited < 5000; waited += 10) {
    delay(10);
  }
  const char* error = ${namespace}::begin();
  if (error != nullptr) {
    Serial.print("FAIL: ");
    Serial.println(error);
    return;
  }
  Serial.print("arena: ");
  Serial.print(static_cast<unsigned int>(${namespace}::arenaUsed()));
  Serial.print(" of ");
  Serial.print(static_cast<unsigned int>(${namespace}::kArenaSize));
  Serial.println(" bytes");
  isReady = checkSamples();
}

void loop() {
  if (!isReady || !readInput()) {
    return;
  }
  const char* error = ${namespace}::run();
  if (error != nullptr) {
    Serial.println(error);
    return;
  }
  printAnswer();
  Serial.println();
}
