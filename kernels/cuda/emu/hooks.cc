// hooks.cc: what g++ calls in kernels compiled with -fsanitize=thread (every load and store) and -fsanitize=alignment,bounds (every
// misaligned pointer, every index outside an array of known length). The sanitizers' own libraries are not linked.
#include <stdio.h>
#include <string>

#include "check.h"
#include "fiber.h"
#include "memory.h"
#include "report.h"

#if EMU_CHECKED

namespace {

inline void touch(void *p, size_t bytes, emu::Access kind, const void *pc) {
  uintptr_t a = reinterpret_cast<uintptr_t>(p);
  if (!emu::access(a, bytes, kind, pc)) emu::abandon(CUDA_ERROR_ILLEGAL_ADDRESS);
}

// The layouts of the undefined-behaviour sanitizer's data.
struct Place {
  const char *file;
  uint32_t line, column;
};
struct Type {
  uint16_t kind, info;
  char name[1];
};
struct TypeMismatch {
  Place place;
  const Type *type;
  unsigned char log_alignment, kind;
};
struct OutOfBounds {
  Place place;
  const Type *array, *index;
};

std::string text(const Place &p) {
  std::string file = p.file ? p.file : "";
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(p.line);
}

} // namespace

#define HOOKS(n)                                                                                                                          \
  extern "C" void __tsan_read##n(void *p) { touch(p, n, emu::Access::read, __builtin_return_address(0)); }                               \
  extern "C" void __tsan_write##n(void *p) { touch(p, n, emu::Access::write, __builtin_return_address(0)); }                             \
  extern "C" void __tsan_unaligned_read##n(void *p) { touch(p, n, emu::Access::read, __builtin_return_address(0)); }                     \
  extern "C" void __tsan_unaligned_write##n(void *p) { touch(p, n, emu::Access::write, __builtin_return_address(0)); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" void __tsan_read_range(void *p, size_t n) { touch(p, n, emu::Access::read, __builtin_return_address(0)); }
extern "C" void __tsan_write_range(void *p, size_t n) { touch(p, n, emu::Access::write, __builtin_return_address(0)); }
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}

extern "C" void __ubsan_handle_type_mismatch_v1(TypeMismatch *d, uintptr_t p) {
  size_t alignment = size_t(1) << d->log_alignment;
  if (!p) return; // the access that follows faults, and is reported
  emu::report(std::string("misaligned access: ") + d->type->name + " needs a multiple of " + std::to_string(alignment) + " bytes", p, nullptr, text(d->place));
  emu::abandon(CUDA_ERROR_MISALIGNED_ADDRESS);
}
extern "C" void __ubsan_handle_out_of_bounds(OutOfBounds *d, uintptr_t index) {
  emu::report("index " + std::to_string(long(index)) + " outside " + d->array->name, 0, nullptr, text(d->place));
  emu::abandon(CUDA_ERROR_ILLEGAL_ADDRESS);
}

#endif
