// call.h: what every driver call begins with. One lock for all, since the emulator runs on the thread that waits; the count of calls, and
// the injected failure.
#pragma once
#include <atomic>
#include "abi.h"

namespace emu {

class Call {
 public:
  // A call that needs a context fails without a current one: Go code that has hopped to another OS thread is caught, as on a GPU.
  explicit Call(const char *name, bool needs_context = true);
  ~Call();
  CUresult refused = CUDA_SUCCESS;

 private:
  Call(const Call &) = delete;
};

// What exists, for cuemuLive.
enum class Kind { host, event, graph, exec, module, context, blas, count };
extern int live_objects[int(Kind::count)];
inline void born(Kind k) { live_objects[int(k)]++; }
inline void died(Kind k) { live_objects[int(k)]--; }

} // namespace emu

#define DRIVER_CALL               \
  emu::Call call(__func__);       \
  if (call.refused) return call.refused
#define DRIVER_CALL_WITHOUT_CONTEXT \
  emu::Call call(__func__, false);  \
  if (call.refused) return call.refused
