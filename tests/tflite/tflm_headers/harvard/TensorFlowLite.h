// Makes the Arduino IDE find the library, whose TensorFlow Lite Micro is of 2020.
#define STAND_IN_OF_2020
