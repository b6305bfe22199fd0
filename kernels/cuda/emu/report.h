// report.h: how errors are told. A line names what is wrong, the kernel or call, block and thread, the source line, and the memory:
//
//	cuemu: ERROR: race: read after write without a barrier; kernel tile_sum, block (1,0,0), thread (33,0,0); sum.cu:12; static shared memory, byte 128
#pragma once
#include <stdint.h>
#include <string>

namespace emu {

// report tells an error once for each place in the code; the others are counted. pc is a return address in a kernel, place a source line
// that is known already; both may be left out.
void report(const std::string &what, uintptr_t address = 0, const void *pc = nullptr, const std::string &place = "");
int report_count();
const char *report_last();
void report_trace(const std::string &line); // prints where CUEMU_TRACE is set

} // namespace emu
