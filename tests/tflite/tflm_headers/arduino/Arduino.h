// A stand-in for the Arduino core: prints to standard output.
#ifndef STAND_IN_ARDUINO_H_
#define STAND_IN_ARDUINO_H_

#include <cstddef>
#include <cstdint>
#include <iostream>

struct SerialPort {
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  template <typename T>
  void print(const T& value) { std::cout << value; }
  template <typename T>
  void println(const T& value) { std::cout << value << "\n"; }
  void println() { std::cout << "\n"; }
};

static SerialPort Serial;
inline unsigned long micros() { static unsigned long now = 0; return now += 7; }
inline void delay(unsigned long) {}

#endif  // STAND_IN_ARDUINO_H_
