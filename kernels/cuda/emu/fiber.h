// fiber.h: the threads of one block as fibers, and the order in which they run. A fiber runs until it waits for others (a barrier, a
// warp collective) or ends. Which warp is next, and which lane of it, the seed decides; 0 is the natural order.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string>
#include "abi.h"
#include "runtime.h"

namespace emu {

// run_block runs block.index to its end. CUDA_SUCCESS, or how the block died.
CUresult run_block(void (*kernel)(void **), void **parameters, size_t dynamic_shared);

// abandon ends the whole block from within a fiber, as a fault ends a GPU's kernel.
[[noreturn]] void abandon(CUresult why);

uintptr_t fiber_stack_top(); // of the current fiber
bool on_fiber_stack(uintptr_t p);

std::string shared_describe(uintptr_t p);

void schedule_seed(uint64_t seed);
bool schedule_random();        // whether there is a seed
uint32_t schedule_draw(uint32_t below); // uniform; 0 without a seed

} // namespace emu
