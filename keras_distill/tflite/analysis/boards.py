"""Boards: their memory, and whether a model fits."""

import dataclasses

KIB = 1024
MIB = 1024 * KIB
# What TensorFlow Lite Micro's own code takes, for five to nine operators.
RUNTIME_FLASH = 125 * KIB


CORTEX_M = ("reference", "cmsis-nn", "cmsis-nn-2023")
# Half of the memory is the program's, and a quarter of what static variables can take.
_SHARE_OF_SRAM = 1 / 2
_SHARE_OF_STATIC = 3 / 4


@dataclasses.dataclass(frozen=True)
class Board:
    """A microcontroller board.

    Args:
        title: Name and chip.
        sram: Working memory in bytes, as the data sheet adds it up.
        flash: Program memory in bytes.
        static_ram: Bytes that static variables can take in one piece: the largest bank, without
            what the processor or the board's software keeps for itself.
        kernels: Libraries of kernels that run there, names of `KERNELS` in `analysis.arena`.
    """

    title: str
    sram: int
    flash: int
    static_ram: int
    kernels: tuple[str, ...] = CORTEX_M

    @property
    def usable_arena(self) -> int:
        """Bytes that an arena can take: half of the SRAM, and 3/4 of what is there in one piece."""
        return int(min(_SHARE_OF_SRAM * self.sram, _SHARE_OF_STATIC * self.static_ram))

    def reason_against(self, arena_bytes: int, model_bytes: int) -> str:
        """Returns the reason why a model doesn't fit; an empty string if it does.

        Args:
            arena_bytes: Arena of the model in bytes.
            model_bytes: Size of its file in bytes.
        """
        if arena_bytes > self.usable_arena:
            return f"arena {arena_bytes:,} B is over what one can take ({self.usable_arena:,} B)"
        needed = model_bytes + RUNTIME_FLASH
        if needed > self.flash:
            return f"model and runtime need {needed:,} B of flash, there are {self.flash:,} B"
        return ""


BOARDS = {
    "arduino_nano_33_ble": Board(
        "Arduino Nano 33 BLE Sense (nRF52840)", 256 * KIB, 1 * MIB, 256 * KIB
    ),
    # Beside one piece of memory, two banks of 4 KiB are each core's stack.
    "arduino_nano_rp2040_connect": Board(
        "Arduino Nano RP2040 Connect", 264 * KIB, 16 * MIB, 256 * KIB
    ),
    "raspberry_pi_pico_2": Board("Raspberry Pi Pico 2 (RP2350)", 520 * KIB, 4 * MIB, 512 * KIB),
    # The H7's largest bank, AXI SRAM, has half of the whole.
    "arduino_portenta_h7": Board("Arduino Portenta H7", 1 * MIB, 2 * MIB, 512 * KIB),
    # 64 KiB of it are core-coupled, apart from the rest.
    "stm32f407": Board("STM32F407", 192 * KIB, 1 * MIB, 128 * KIB),
    "stm32h743": Board("STM32H743", 1 * MIB, 2 * MIB, 512 * KIB),
    # The ESP-IDF's linker script leaves 160 KiB for static variables; the rest is code and heap.
    "esp32": Board("ESP32", 520 * KIB, 4 * MIB, 160 * KIB, ("esp-nn",)),
    "esp32_s3": Board("ESP32-S3", 512 * KIB, 8 * MIB, 320 * KIB, ("esp-nn-s3",)),
}
