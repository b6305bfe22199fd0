// cuBLAS's products, column-major, in the same library as the driver: CUBLAS_LIB or its like may name this file too. They are operations
// of a stream like any other, their reads and writes are checked, and calls count for the injected failure.
#include <math.h>
#include <string.h>
#include <array>
#include <set>

#include "call.h"
#include "check.h"
#include "intrinsics.h"
#include "memory.h"
#include "report.h"
#include "schedule.h"

namespace {

enum Status { ok = 0, not_initialised = 1, out_of_memory = 3, invalid_value = 7, execution_failed = 13, internal_error = 14, not_supported = 15 };
enum Operation { plain = 0, transposed = 1, conjugate = 2 };
enum DataType { r_32f = 0, r_16f = 2, r_16bf = 14 };
enum MathMode { default_math = 0, tf32_math = 3 };
enum ComputeType { compute_32f = 68, compute_32f_fast_16f = 74, compute_32f_fast_16bf = 75, compute_32f_fast_tf32 = 77 };
enum PointerMode { host_scalars = 0, device_scalars = 1 };
enum Rounding { none, to_tf32_bits, to_bf16_bits };

} // namespace

// What cuBLAS chooses a kernel by: operations, sizes, leading dimensions, types, alignment.
using Shape = std::array<long long, 20>;

struct cublasContext {
  CUstream stream = nullptr;
  int math = default_math, pointer_mode = host_scalars;
  std::set<Shape> computed;
};

namespace {

Status status_of(CUresult r) {
  switch (r) {
  case CUDA_SUCCESS: return ok;
  case CUDA_ERROR_OUT_OF_MEMORY: return out_of_memory;
  case CUDA_ERROR_NOT_INITIALIZED: case CUDA_ERROR_INVALID_CONTEXT: return not_initialised;
  case CUDA_ERROR_UNKNOWN: return internal_error;
  default: return execution_failed;
  }
}

// A matrix as cuBLAS is given it: columns of `rows` elements, `leading` apart. `at` is the first of a batch.
struct Matrix {
  uintptr_t at;
  DataType type;
  int rows, columns, leading;
  long long stride;

  size_t width() const { return type == r_32f ? 4 : 2; }
  uintptr_t element(int batch, int row, int column) const {
    return at + (batch * stride + (long long)column * leading + row) * (long long)width();
  }
  float load(int batch, int row, int column) const {
    const void *p = reinterpret_cast<const void *>(element(batch, row, column));
    if (type == r_32f) return *static_cast<const float *>(p);
    uint16_t bits = *static_cast<const uint16_t *>(p);
    return type == r_16f ? half_to_float(bits) : bf16_to_float(bits);
  }
  void store(int batch, int row, int column, float v) const {
    void *p = reinterpret_cast<void *>(element(batch, row, column));
    if (type == r_32f) *static_cast<float *>(p) = v;
    else *static_cast<uint16_t *>(p) = type == r_16f ? float_to_half(v) : float_to_bf16(v);
  }
  bool accessible(int batch, emu::Access kind) const {
    for (int c = 0; c < columns; c++) {
      if (!emu::memory_holds(element(batch, 0, c), rows * width())) {
        emu::report("a matrix of cuBLAS reaches outside an allocation", element(batch, 0, c));
        return false;
      }
      if (!emu::access(element(batch, 0, c), rows * width(), kind, nullptr)) return false;
    }
    return true;
  }
};

struct Product {
  bool transpose_a, transpose_b;
  int m, n, k, batches;
  Matrix a, b, c;
  Rounding rounding;
  float alpha, beta;
  const float *device_alpha, *device_beta; // where the scalars are on the device
};

float rounded(float x, Rounding r) {
  if (r == to_tf32_bits) return __uint_as_float(to_tf32(x));
  if (r == to_bf16_bits) return bf16_to_float(float_to_bf16(x));
  return x;
}

CUresult run(Product p) {
  if (p.device_alpha) {
    for (const float *s : {p.device_alpha, p.device_beta})
      if (!emu::memory_holds(reinterpret_cast<uintptr_t>(s), sizeof *s)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    p.alpha = *p.device_alpha, p.beta = *p.device_beta;
  }
  for (int g = 0; g < p.batches; g++) {
    if (!p.a.accessible(g, emu::Access::read) || !p.b.accessible(g, emu::Access::read)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (p.beta != 0 && !p.c.accessible(g, emu::Access::read)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (!p.c.accessible(g, emu::Access::write)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    for (int j = 0; j < p.n; j++) {
      for (int i = 0; i < p.m; i++) {
        float sum = 0;
        for (int q = 0; q < p.k; q++) {
          float a = p.transpose_a ? p.a.load(g, q, i) : p.a.load(g, i, q), b = p.transpose_b ? p.b.load(g, j, q) : p.b.load(g, q, j);
          sum += rounded(a, p.rounding) * rounded(b, p.rounding);
        }
        p.c.store(g, i, j, p.alpha * sum + (p.beta != 0 ? p.beta * p.c.load(g, i, j) : 0.f));
      }
    }
  }
  return CUDA_SUCCESS;
}

bool known(int type) { return type == r_32f || type == r_16f || type == r_16bf; }

// multiply is C = alpha op(A) op(B) + beta C; op(A) [m, k], op(B) [k, n], C [m, n].
Status multiply(cublasContext *h, const char *name, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda,
                long long stride_a, const void *b, int type_b, int ldb, long long stride_b, const void *beta, void *c, int type_c, int ldc,
                long long stride_c, int batches, int compute) {
  emu::Call call(name);
  if (call.refused) return status_of(call.refused);
  if (!h) return not_initialised;
  bool ta = op_a != plain, tb = op_b != plain;
  if (op_a < plain || op_a > conjugate || op_b < plain || op_b > conjugate || m < 0 || n < 0 || k < 0 || batches < 0 || lda < (ta ? k : m) || lda < 1 ||
      ldb < (tb ? n : k) || ldb < 1 || ldc < m || ldc < 1 || !alpha || !beta)
    return invalid_value;
  if (!known(type_a) || !known(type_b) || !known(type_c)) return not_supported;
  if (m == 0 || n == 0 || batches == 0) return ok;
  auto address = [](const void *p) { return reinterpret_cast<uintptr_t>(p); };
  Product p = {};
  p.transpose_a = ta, p.transpose_b = tb, p.m = m, p.n = n, p.k = k, p.batches = batches;
  p.a = {address(a), DataType(type_a), ta ? k : m, ta ? m : k, lda, stride_a};
  p.b = {address(b), DataType(type_b), tb ? n : k, tb ? k : n, ldb, stride_b};
  p.c = {address(c), DataType(type_c), m, n, ldc, stride_c};
  if (compute == compute_32f_fast_tf32 || h->math == tf32_math) p.rounding = to_tf32_bits;
  if (compute == compute_32f_fast_16bf) p.rounding = to_bf16_bits;
  if (h->pointer_mode == host_scalars) p.alpha = *static_cast<const float *>(alpha), p.beta = *static_cast<const float *>(beta);
  else p.device_alpha = static_cast<const float *>(alpha), p.device_beta = static_cast<const float *>(beta);
  const long long alignment = 256;
  Shape shape = {op_a, op_b, m, n, k, batches, compute, h->math, type_a, type_b, type_c, lda, ldb, ldc, stride_a, stride_b, stride_c,
                 (long long)p.a.at % alignment, (long long)p.b.at % alignment, (long long)p.c.at % alignment};
  // The code of a kernel is loaded at its first product, and drivers before CUDA 12.3 cannot load code during a capture.
  if (h->computed.insert(shape).second && h->stream && emu::spoil_capture(h->stream)) return h->computed.erase(shape), internal_error;
  return status_of(emu::issue(h->stream, name, [p]() -> emu::Work { return [p] { return run(p); }; }));
}

} // namespace

#define BLAS_API EMU_API int
#define BLAS_CALL            \
  emu::Call call(__func__);  \
  if (call.refused) return status_of(call.refused)

BLAS_API cublasCreate_v2(cublasContext **handle) {
  BLAS_CALL;
  *handle = new cublasContext;
  emu::born(emu::Kind::blas);
  return ok;
}
BLAS_API cublasDestroy_v2(cublasContext *h) {
  BLAS_CALL;
  if (!h) return not_initialised;
  delete h;
  emu::died(emu::Kind::blas);
  return ok;
}
BLAS_API cublasSetStream_v2(cublasContext *h, CUstream stream) {
  BLAS_CALL;
  if (!h) return not_initialised;
  h->stream = stream;
  return ok;
}
BLAS_API cublasSetMathMode(cublasContext *h, int mode) {
  BLAS_CALL;
  if (!h) return not_initialised;
  h->math = mode;
  return ok;
}
BLAS_API cublasSetPointerMode_v2(cublasContext *h, int mode) {
  BLAS_CALL;
  if (!h) return not_initialised;
  h->pointer_mode = mode;
  return ok;
}
BLAS_API cublasSetWorkspace_v2(cublasContext *h, void *, size_t) {
  BLAS_CALL;
  return h ? ok : not_initialised;
}
BLAS_API cublasGetVersion_v2(cublasContext *, int *version) {
  BLAS_CALL;
  *version = 120400;
  return ok;
}
// It needs no context, as a program asks while it opens the library.
BLAS_API cublasGetProperty(int part, int *value) {
  emu::Call call(__func__, false);
  if (call.refused) return status_of(call.refused);
  if (part < 0 || part > 2 || !value) return invalid_value;
  *value = part == 0 ? 12 : part == 1 ? 4 : 0;
  return ok;
}

BLAS_API cublasSgemm_v2(cublasContext *h, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda, const float *b, int ldb,
                        const float *beta, float *c, int ldc) {
  return multiply(h, "cublasSgemm", op_a, op_b, m, n, k, alpha, a, r_32f, lda, 0, b, r_32f, ldb, 0, beta, c, r_32f, ldc, 0, 1, compute_32f);
}
BLAS_API cublasSgemmStridedBatched(cublasContext *h, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                                   long long stride_a, const float *b, int ldb, long long stride_b, const float *beta, float *c, int ldc,
                                   long long stride_c, int batches) {
  return multiply(h, "cublasSgemmStridedBatched", op_a, op_b, m, n, k, alpha, a, r_32f, lda, stride_a, b, r_32f, ldb, stride_b, beta, c, r_32f, ldc,
                  stride_c, batches, compute_32f);
}
BLAS_API cublasGemmEx(cublasContext *h, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda, const void *b,
                      int type_b, int ldb, const void *beta, void *c, int type_c, int ldc, int compute, int) {
  return multiply(h, "cublasGemmEx", op_a, op_b, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c, type_c, ldc, 0, 1, compute);
}
BLAS_API cublasGemmStridedBatchedEx(cublasContext *h, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda,
                                    long long stride_a, const void *b, int type_b, int ldb, long long stride_b, const void *beta, void *c, int type_c,
                                    int ldc, long long stride_c, int batches, int compute, int) {
  return multiply(h, "cublasGemmStridedBatchedEx", op_a, op_b, m, n, k, alpha, a, type_a, lda, stride_a, b, type_b, ldb, stride_b, beta, c, type_c, ldc,
                  stride_c, batches, compute);
}
