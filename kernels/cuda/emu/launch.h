// launch.h: the kernels that are linked in, and how one is run.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <memory>
#include <string>
#include <vector>
#include "abi.h"
#include "runtime.h"

namespace emu {

struct Kernel {
  std::string name;
  void (*call)(void **parameters);
  std::vector<size_t> sizes; // of its parameters, in bytes
  size_t most_dynamic_shared = 48 << 10;
  size_t offset(size_t parameter) const; // in a parameter buffer, naturally aligned
};

constexpr size_t kMostDynamicShared = 227 << 10; // what a kernel may ask for by cuFuncSetAttribute, as on an H100

Kernel *kernel_find(const std::string &name);

// A launch with its parameters copied, so that the caller's may change.
struct Launch {
  Kernel *kernel;
  dim3 grid, threads;
  size_t dynamic_shared;
  std::vector<uint64_t> parameters; // each at a multiple of 16 bytes
};

// make_launch checks the configuration and copies the parameters; an error says what is wrong with them.
CUresult make_launch(std::shared_ptr<Launch> *launch, Kernel *kernel, dim3 grid, dim3 threads, size_t dynamic_shared, void **parameters,
                     void **extra);
CUresult run_launch(const Launch &launch);

const char *running_kernel(); // its name, or null
const char *running_call();   // the operation of a stream that runs, or null
void set_running_call(const char *name);

} // namespace emu
