// A stand-in for the ESP-IDF's settings, which say which chip it is built for.
#define CONFIG_IDF_TARGET_ESP32 1
