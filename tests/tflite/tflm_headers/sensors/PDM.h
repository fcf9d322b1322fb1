// A stand-in for the PDM library: a sawtooth of 64 steps, each two samples long.
#ifndef STAND_IN_PDM_H_
#define STAND_IN_PDM_H_

struct PDMClass {
  void (*callback)() = nullptr;
  long time = 0;
  int waiting = 0;

  void onReceive(void (*function)()) { callback = function; }
  int begin(int channels, int rate) { return channels == 1 && rate == 16000; }
  int available() { return waiting; }
  int read(void* buffer, int bytes) {
    for (int index = 0; index < bytes / 2; ++index, ++time) {
      static_cast<int16_t*>(buffer)[index] = static_cast<int16_t>(time / 2 % 64 * 400 - 12800);
    }
    waiting -= bytes;
    return bytes;
  }
  // What the interrupt does on a board.
  void deliver() {
    waiting = 700;
    callback();
  }
};

static PDMClass PDM;
#define STAND_IN_INTERRUPT PDM.deliver()

#endif  // STAND_IN_PDM_H_
