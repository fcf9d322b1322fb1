"""Projects for devices: Arduino, CMake, Raspberry Pi, Android, iOS."""
