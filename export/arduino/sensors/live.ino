// ${name}_live: runs the model on what the sensor measures.
//
// The serial monitor, at 115200 baud, first shows whether the preprocessing computes what Python
// did, then an answer with its score for each new input. The sensor is in the tab read_sensor.

#include <${namespace}.h>
#include <${namespace}_sensor_check.h>

${namespace}::Sensor sensor;
bool isReady = false;

// Checks the preprocessing on its test recording. Returns nullptr, or what went wrong.
const char* checkPreprocessing() {
  const float difference = ${namespace}::checkSensor(sensor);
  Serial.print("preprocessing: largest difference ");
  Serial.println(difference, 7);
  // NaN is a failure too.
  return difference <= ${namespace}::kSensorTolerance ? nullptr : "the preprocessing differs";
}

void setup() {
  Serial.begin(115200);
  delay(3000);
  const char* error = ${namespace}::begin();
  if (error == nullptr) {
    error = checkPreprocessing();
  }
  if (error == nullptr) {
    error = beginSensor();
  }
  if (error != nullptr) {
    Serial.print("FAIL: ");
    Serial.println(error);
    return;
  }
  Serial.println("PASS");
  isReady = true;
}

void loop() {
  if (!isReady || !readSensor()) {
    return;
  }
  // All values each time: run() may overwrite the input.
  for (size_t index = 0; index < ${namespace}::kInputSize; ++index) {
    ${namespace}::setInput(index, sensor.value(index));
  }
  const char* error = ${namespace}::run();
  if (error != nullptr) {
    Serial.println(error);
    return;
  }
  const size_t best = ${namespace}::best();
  Serial.print(${namespace}::kLabels[best]);
  Serial.print(" ");
  Serial.println(${namespace}::score(best), 3);
}
