// A stand-in for the Arduino core: prints to standard output.
#ifndef STAND_IN_ARDUINO_H_
#define STAND_IN_ARDUINO_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct SerialPort {
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  void print(const char* text) { printf("%s", text); }
  void print(unsigned int number) { printf("%u", number); }
  void print(unsigned long number) { printf("%lu", number); }
  void print(double number) { printf("%.2f", number); }
  void print(double number, int digits) { printf("%.*f", digits, number); }
  void println(double number, int digits) {
    print(number, digits);
    println();
  }
  template <typename T>
  void println(const T& value) {
    print(value);
    println();
  }
  void println() { printf("\n"); }
};

static SerialPort Serial;
inline unsigned long micros() {
  static unsigned long now = 0;
  return now += 7;
}
inline void delay(unsigned long) {}

#endif  // STAND_IN_ARDUINO_H_
