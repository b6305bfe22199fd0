// check.h: the checked build's knowledge of every 4-byte word of device memory: which bytes are allocated and initialised, and who last
// wrote and read it. In the fast build (EMU_CHECKED 0) all of it is empty.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifndef EMU_CHECKED
#define EMU_CHECKED 0
#endif

namespace emu {

struct Warp;
constexpr bool checked = EMU_CHECKED;

void shadow_init();
void shadow_allocate(uintptr_t p, size_t bytes);   // allocated, not initialised
void shadow_release(uintptr_t p, size_t bytes);
void shadow_initialise(uintptr_t p, size_t bytes); // by a copy or a fill
void shadow_spoil(uintptr_t p, size_t bytes);      // no longer initialised
void shadow_copy(uintptr_t to, uintptr_t from, size_t bytes); // what is initialised, as a copy on the device carries it

// An access of the current fiber, or of the current operation of a stream where no kernel runs. Returns false where a kernel would fault.
// carry is a copy's read, which may move what is not initialised.
enum class Access { read, write, atomic, carry };
bool access(uintptr_t p, size_t bytes, Access kind, const void *pc);

// Time, as races see it. An interval is what lies between two barriers of a block, or one operation of a stream.
uint64_t begin_operation(); // returns its first interval
void begin_block();
void end_barrier();
void begin_epoch(Warp *w);
void block_fence(); // __threadfence by the current thread

} // namespace emu
