// The driver's calls for memory: allocation, pinned host memory, copies, fills.
#include <string.h>
#include <sys/mman.h>

#include "call.h"
#include "check.h"
#include "memory.h"
#include "report.h"
#include "schedule.h"

using namespace emu;

namespace {

bool host_readable(const void *p, size_t n) {
  uintptr_t at = reinterpret_cast<uintptr_t>(p), first = at & ~(kPage - 1), end = at + n;
  if (is_pinned(at)) return pinned_holds(at, n);
  return p && !is_device(at) && msync(reinterpret_cast<void *>(first), end - first, MS_ASYNC) == 0;
}

uint64_t checksum(const void *p, size_t n) {
  uint64_t sum = 14695981039346656037ull;
  const unsigned char *b = static_cast<const unsigned char *>(p);
  for (size_t i = 0; i < n; i++) sum = (sum ^ b[i]) * 1099511628211ull;
  return sum;
}

bool device_range(const char *what, uintptr_t p, size_t n) {
  if (memory_holds(p, n)) return true;
  report(std::string(what) + ": " + std::to_string(n) + " bytes do not lie in one allocation", p);
  return false;
}

// The three directions. Each task checks again when it runs: its memory may be gone by then.

Task to_device(uintptr_t to, const void *from, size_t n) {
  return [=]() -> Work {
    uint64_t before = checksum(from, n);
    return [=] {
      if (!device_range("copy to the device", to, n) || !access(to, n, Access::write, nullptr)) return CUDA_ERROR_ILLEGAL_ADDRESS;
      if (!host_readable(from, n)) {
        report("host memory was freed while a copy from it was pending");
        return CUDA_ERROR_ILLEGAL_ADDRESS;
      }
      if (checksum(from, n) != before) report("host memory was changed while a copy from it was pending", to);
      memcpy(reinterpret_cast<void *>(to), from, n);
      return CUDA_SUCCESS;
    };
  };
}

Task to_host(void *to, uintptr_t from, size_t n) {
  return [=]() -> Work {
    memset(to, kPoison, n); // what a host sees that reads too early
    return [=] {
      if (!device_range("copy to the host", from, n) || !access(from, n, Access::carry, nullptr)) return CUDA_ERROR_ILLEGAL_ADDRESS;
      if (!host_readable(to, n)) {
        report("host memory was freed while a copy into it was pending", from);
        return CUDA_ERROR_ILLEGAL_ADDRESS;
      }
      memcpy(to, reinterpret_cast<void *>(from), n);
      return CUDA_SUCCESS;
    };
  };
}

Task on_device(uintptr_t to, uintptr_t from, size_t n) {
  return [=]() -> Work {
    return [=] {
      if (!device_range("copy from", from, n) || !device_range("copy to", to, n)) return CUDA_ERROR_ILLEGAL_ADDRESS;
      if (!access(from, n, Access::carry, nullptr) || !access(to, n, Access::write, nullptr)) return CUDA_ERROR_ILLEGAL_ADDRESS;
      memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), n);
      shadow_copy(to, from, n);
      return CUDA_SUCCESS;
    };
  };
}

template <class T> Task fill(uintptr_t p, T value, size_t n) {
  return [=]() -> Work {
    return [=] {
      if (!device_range("fill", p, n * sizeof value) || !access(p, n * sizeof value, Access::write, nullptr)) return CUDA_ERROR_ILLEGAL_ADDRESS;
      for (size_t i = 0; i < n; i++) reinterpret_cast<T *>(p)[i] = value;
      return CUDA_SUCCESS;
    };
  };
}

// put issues a copy whose ranges are checked as the driver checks them: an error of the call itself.
CUresult put(bool good, CUstream stream, const char *name, size_t n, const Task &task) {
  if (!n) return CUDA_SUCCESS;
  if (!good) return CUDA_ERROR_INVALID_VALUE;
  if (!stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  return issue(stream, name, task);
}
CUresult put_and_finish(bool good, const char *name, size_t n, const Task &task) {
  if (!n) return CUDA_SUCCESS;
  return good ? issue_and_finish(name, task) : CUDA_ERROR_INVALID_VALUE;
}

bool good_pair(const char *what, uintptr_t device, const void *host, size_t n) {
  return n == 0 || (device_range(what, device, n) && host_readable(host, n));
}

template <class T> CUresult put_fill(CUstream stream, const char *name, CUdeviceptr p, T value, size_t n) {
  if (n && p % sizeof value) return CUDA_ERROR_INVALID_VALUE;
  return put(n == 0 || device_range(name, p, n * sizeof value), stream, name, n, fill(p, value, n));
}

} // namespace

DRIVER_API cuMemAlloc_v2(CUdeviceptr *p, size_t bytes) {
  DRIVER_CALL;
  if (CUresult r = sticky_error()) return r;
  if (CUresult r = refuse_capture()) return r;
  uintptr_t at = 0;
  CUresult r = memory_allocate(&at, bytes);
  if (!r) *p = at;
  return r;
}
DRIVER_API cuMemFree_v2(CUdeviceptr p) {
  DRIVER_CALL;
  if (!p) return CUDA_SUCCESS;
  if (CUresult r = refuse_capture()) return r;
  CUresult earlier = finish_all(), r = memory_free(p);
  return earlier ? earlier : r;
}
DRIVER_API cuMemGetInfo_v2(size_t *free, size_t *total) {
  DRIVER_CALL;
  *total = memory_total(), *free = memory_total() - memory_used();
  return CUDA_SUCCESS;
}
DRIVER_API cuMemGetAddressRange_v2(CUdeviceptr *begin, size_t *bytes, CUdeviceptr p) {
  DRIVER_CALL;
  const Allocation *a = memory_find(p);
  if (!a) return CUDA_ERROR_NOT_FOUND;
  if (begin) *begin = a->begin;
  if (bytes) *bytes = a->bytes;
  return CUDA_SUCCESS;
}

DRIVER_API cuMemHostAlloc(void **p, size_t bytes, unsigned) {
  DRIVER_CALL;
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult r = refuse_capture()) return r;
  uintptr_t at = 0;
  CUresult r = pinned_allocate(&at, bytes);
  if (r) return r;
  *p = reinterpret_cast<void *>(at);
  born(Kind::host);
  return CUDA_SUCCESS;
}
DRIVER_API cuMemAllocHost_v2(void **p, size_t bytes) { return cuMemHostAlloc(p, bytes, 0); }
DRIVER_API cuMemFreeHost(void *p) {
  DRIVER_CALL;
  if (CUresult r = refuse_capture()) return r;
  CUresult earlier = finish_all(), r = pinned_free(reinterpret_cast<uintptr_t>(p));
  if (r != CUDA_ERROR_INVALID_VALUE) died(Kind::host);
  return earlier ? earlier : r;
}

DRIVER_API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) {
  DRIVER_CALL;
  return put_and_finish(good_pair("copy to the device", to, from, n), "cuMemcpyHtoD", n, to_device(to, from, n));
}
DRIVER_API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) {
  DRIVER_CALL;
  return put_and_finish(good_pair("copy to the host", from, to, n), "cuMemcpyDtoH", n, to_host(to, from, n));
}
DRIVER_API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) { // does not wait, as on a GPU
  DRIVER_CALL;
  return put(device_range("copy from", from, n) && device_range("copy to", to, n), nullptr, "cuMemcpyDtoD", n, on_device(to, from, n));
}
DRIVER_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream stream) {
  DRIVER_CALL;
  return put(good_pair("copy to the device", to, from, n), stream, "cuMemcpyHtoDAsync", n, to_device(to, from, n));
}
DRIVER_API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream stream) {
  DRIVER_CALL;
  return put(good_pair("copy to the host", from, to, n), stream, "cuMemcpyDtoHAsync", n, to_host(to, from, n));
}
DRIVER_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
  DRIVER_CALL;
  return put(device_range("copy from", from, n) && device_range("copy to", to, n), stream, "cuMemcpyDtoDAsync", n, on_device(to, from, n));
}

DRIVER_API cuMemsetD8_v2(CUdeviceptr p, unsigned char value, size_t n) {
  DRIVER_CALL;
  return put_fill(nullptr, "cuMemsetD8", p, value, n);
}
DRIVER_API cuMemsetD16_v2(CUdeviceptr p, unsigned short value, size_t n) {
  DRIVER_CALL;
  return put_fill(nullptr, "cuMemsetD16", p, value, n);
}
DRIVER_API cuMemsetD32_v2(CUdeviceptr p, unsigned value, size_t n) {
  DRIVER_CALL;
  return put_fill(nullptr, "cuMemsetD32", p, value, n);
}
DRIVER_API cuMemsetD8Async(CUdeviceptr p, unsigned char value, size_t n, CUstream stream) {
  DRIVER_CALL;
  return put_fill(stream, "cuMemsetD8Async", p, value, n);
}
DRIVER_API cuMemsetD16Async(CUdeviceptr p, unsigned short value, size_t n, CUstream stream) {
  DRIVER_CALL;
  return put_fill(stream, "cuMemsetD16Async", p, value, n);
}
DRIVER_API cuMemsetD32Async(CUdeviceptr p, unsigned value, size_t n, CUstream stream) {
  DRIVER_CALL;
  return put_fill(stream, "cuMemsetD32Async", p, value, n);
}
