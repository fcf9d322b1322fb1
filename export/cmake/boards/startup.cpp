// What a Cortex-M does before main(): vector table, floating point, memory.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Of the linker script.
extern "C" {
extern uint8_t stack_top[];
extern uint8_t data_start[];
extern uint8_t data_end[];
extern uint8_t data_in_flash[];
extern uint8_t bss_start[];
extern uint8_t bss_end[];

// Of newlib: constructors of static objects, and the files that semihosting stands for.
void __libc_init_array();
void initialise_monitor_handles();
// main(), which C++ doesn't let a program call by its name.
int program() __asm__("main");

// What newlib calls before and after constructors; GNU's start-up files, which have them, are left out.
void _init() {}
void _fini() {}
// By which static objects are destroyed, if a program ends.
__attribute__((visibility("hidden"))) void* __dso_handle = nullptr;

[[noreturn]] void resetHandler();
}

namespace {

[[noreturn]] void faultHandler() {
  static const char message[] = "FAIL: the processor faulted\n";
  write(STDOUT_FILENO, message, sizeof(message) - 1);
  _exit(1);
}

using Handler = void (*)();

// The first entry is the stack; then come reset and the faults, which no interrupt follows here.
struct Vectors {
  uint8_t* stack;
  Handler handlers[15];
};

__attribute__((section(".vectors"), used)) const Vectors vectors = {
    stack_top,
    {resetHandler, faultHandler, faultHandler, faultHandler, faultHandler, faultHandler,
     faultHandler, faultHandler, faultHandler, faultHandler, faultHandler, faultHandler,
     faultHandler, faultHandler, faultHandler}};

}  // namespace

extern "C" void resetHandler() {
#if defined(__ARM_FP)
  // The coprocessor access register: without it, the first floating-point instruction faults.
  volatile uint32_t& coprocessors = *reinterpret_cast<volatile uint32_t*>(0xE000ED88);
  coprocessors = coprocessors | (0xFu << 20);
  asm volatile("dsb\n\tisb" ::: "memory");
#endif
  memcpy(data_start, data_in_flash, static_cast<size_t>(data_end - data_start));
  memset(bss_start, 0, static_cast<size_t>(bss_end - bss_start));
  initialise_monitor_handles();
  __libc_init_array();
  exit(program());
}
