"""Boards: their memory, and whether a model fits."""

import dataclasses

KIB = 1024
MIB = 1024 * KIB
# What TensorFlow Lite Micro's own code takes, for five to nine operators.
RUNTIME_FLASH = 125 * KIB


@dataclasses.dataclass(frozen=True)
class Board:
    """A microcontroller board.

    Args:
        title: Name and chip.
        sram: Working memory in bytes.
        flash: Program memory in bytes.
    """

    title: str
    sram: int
    flash: int

    @property
    def usable_arena(self) -> int:
        """Bytes that an arena can take: half of the SRAM, the rest is the program's."""
        return self.sram // 2

    def reason_against(self, arena_bytes: int, model_bytes: int) -> str:
        """Returns the reason why a model doesn't fit; an empty string if it does.

        Args:
            arena_bytes: Arena of the model in bytes.
            model_bytes: Size of its file in bytes.
        """
        if arena_bytes > self.usable_arena:
            return f"arena {arena_bytes:,} B is over half of the SRAM ({self.usable_arena:,} B)"
        needed = model_bytes + RUNTIME_FLASH
        if needed > self.flash:
            return f"model and runtime need {needed:,} B of flash, there are {self.flash:,} B"
        return ""


BOARDS = {
    "arduino_nano_33_ble": Board("Arduino Nano 33 BLE Sense (nRF52840)", 256 * KIB, 1 * MIB),
    "arduino_nano_rp2040_connect": Board("Arduino Nano RP2040 Connect", 264 * KIB, 16 * MIB),
    "raspberry_pi_pico_2": Board("Raspberry Pi Pico 2 (RP2350)", 520 * KIB, 4 * MIB),
    "arduino_portenta_h7": Board("Arduino Portenta H7", 1 * MIB, 2 * MIB),
    "stm32f407": Board("STM32F407", 192 * KIB, 1 * MIB),
    "stm32h743": Board("STM32H743", 1 * MIB, 2 * MIB),
    "esp32": Board("ESP32", 520 * KIB, 4 * MIB),
    "esp32_s3": Board("ESP32-S3", 512 * KIB, 8 * MIB),
}
