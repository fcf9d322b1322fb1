// The real one makes the Arduino IDE find the library.
