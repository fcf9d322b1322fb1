// A stand-in for the OV7675's library: red above, blue below.
#ifndef STAND_IN_OV767X_H_
#define STAND_IN_OV767X_H_

enum { YUV422 = 0, RGB444 = 1, RGB565 = 2, GRAYSCALE = 4 };
enum { VGA = 0, CIF = 1, QVGA = 2, QCIF = 3, QQVGA = 4 };

struct CameraClass {
  int begin(int resolution, int format, int rate) {
    return resolution == QCIF && format == RGB565 && (rate == 1 || rate == 5);
  }
  int width() const { return 176; }
  int height() const { return 144; }
  void readFrame(void* buffer) {
    uint8_t* byte = static_cast<uint8_t*>(buffer);
    for (int pixel = 0; pixel < 176 * 144; ++pixel) {
      const bool isAbove = pixel < 176 * 72;
      *byte++ = isAbove ? 0xf8 : 0x00;
      *byte++ = isAbove ? 0x00 : 0x1f;
    }
  }
};

static CameraClass Camera;

#endif  // STAND_IN_OV767X_H_
