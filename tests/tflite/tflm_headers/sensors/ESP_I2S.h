// A stand-in for the I2S library of the ESP32 board package, version 3, and for FreeRTOS's tasks.
#ifndef STAND_IN_ESP_I2S_H_
#define STAND_IN_ESP_I2S_H_

#include <stddef.h>
#include <stdint.h>

enum i2s_mode_t { I2S_MODE_STD };
enum i2s_data_bit_width_t { I2S_DATA_BIT_WIDTH_32BIT = 32 };
enum i2s_slot_mode_t { I2S_SLOT_MODE_MONO = 1 };
enum { I2S_STD_SLOT_LEFT = 1, pdPASS = 1 };

struct I2SClass {
  void setPins(int8_t, int8_t, int8_t, int8_t = -1, int8_t = -1) {}
  bool begin(i2s_mode_t, uint32_t, i2s_data_bit_width_t, i2s_slot_mode_t, int8_t = -1) {
    return true;
  }
  size_t readBytes(char*, size_t) { return 0; }
};

inline int xTaskCreate(void (*)(void*), const char*, uint32_t, void*, unsigned int, void**) {
  return pdPASS;
}

#endif  // STAND_IN_ESP_I2S_H_
