// The microphone of a Nano 33 BLE Sense (PDM), or one at an ESP32 (I2S, such as an INMP441). This is
// the file to edit, for other pins or another board.
//
// Samples wait in a queue while the model runs. If that takes too long, some are lost: the sketch
// says so and begins with an empty clip.

#if defined(ESP32)
#include <ESP_I2S.h>
const int8_t kClockPin = 26;   // SCK
const int8_t kSelectPin = 25;  // WS
const int8_t kDataPin = 33;    // SD
I2SClass microphone;
#else
#include <PDM.h>
#endif

// Half a second.
constexpr size_t kQueueSize = 8192;
volatile int16_t queue[kQueueSize];
volatile size_t queueEnd = 0;
volatile size_t queueBegin = 0;
volatile bool areSamplesLost = false;

void putInQueue(int16_t sample) {
  const size_t next = (queueEnd + 1) % kQueueSize;
  if (next == queueBegin) {
    areSamplesLost = true;
    return;
  }
  queue[queueEnd] = sample;
  queueEnd = next;
}

#if defined(ESP32)
void readMicrophone(void*) {
  static int32_t chunk[256];
  for (;;) {
    const size_t bytes = microphone.readBytes(reinterpret_cast<char*>(chunk), sizeof(chunk));
    for (size_t index = 0; index < bytes / sizeof(*chunk); ++index) {
      // The upper 16 of 32 bits.
      putInQueue(static_cast<int16_t>(chunk[index] / 65536));
    }
  }
}

const char* beginSensor() {
  microphone.setPins(kClockPin, kSelectPin, -1, kDataPin);
  if (!microphone.begin(I2S_MODE_STD, ${namespace}::kMicrophoneRate, I2S_DATA_BIT_WIDTH_32BIT,
                        I2S_SLOT_MODE_MONO, I2S_STD_SLOT_LEFT)) {
    return "no microphone: set the pins in the tab read_sensor";
  }
  // Above the sketch's own priority, so that it goes on while the model runs.
  const bool isStarted = xTaskCreate(readMicrophone, "microphone", 4096, nullptr, 2, nullptr) == pdPASS;
  return isStarted ? nullptr : "the microphone's task could not be started";
}
#else
void readMicrophone() {
  static int16_t chunk[256];
  for (int bytes = PDM.available(); bytes > 0; bytes = PDM.available()) {
    const int most = sizeof(chunk);
    const int count = PDM.read(chunk, bytes < most ? bytes : most) / static_cast<int>(sizeof(*chunk));
    for (int index = 0; index < count; ++index) {
      putInQueue(chunk[index]);
    }
  }
}

const char* beginSensor() {
  PDM.onReceive(readMicrophone);
  return PDM.begin(1, ${namespace}::kMicrophoneRate) ? nullptr : "the microphone doesn't start";
}
#endif

// Returns whether the sensor has a new clip.
bool readSensor() {
  static int32_t sum = 0;
  static int count = 0;
  if (areSamplesLost) {
    Serial.println("samples are lost: the model takes too long for this step");
    queueBegin = queueEnd;
    sensor.clear();
    areSamplesLost = false;
  }
  while (queueBegin != queueEnd) {
    sum += queue[queueBegin];
    queueBegin = (queueBegin + 1) % kQueueSize;
    if (++count < ${namespace}::kAveraged) {
      continue;
    }
    const int16_t sample = static_cast<int16_t>(sum / ${namespace}::kAveraged);
    sum = 0;
    count = 0;
    if (sensor.add(sample)) {
      return true;
    }
  }
  return false;
}
