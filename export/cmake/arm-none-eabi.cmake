# Cortex-M with GNU's compiler. Choose the processor with -DCPU_FLAGS=, the same that TensorFlow Lite
# Micro was built for, and the memory map of the board with -DLINKER_SCRIPT=.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
# Without a linker script for the board, a whole program can't be linked in CMake's own trials.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(CPU_FLAGS "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16" CACHE STRING "Processor")

set(CMAKE_CXX_FLAGS_INIT "${CPU_FLAGS} -ffunction-sections -fdata-sections -fno-threadsafe-statics")
# Semihosting: printf and the exit status reach the debugger or QEMU.
set(CMAKE_EXE_LINKER_FLAGS_INIT "--specs=rdimon.specs -nostartfiles -Wl,--gc-sections")
set(CMAKE_EXECUTABLE_SUFFIX_CXX ".elf")
