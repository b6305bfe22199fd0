// The example kernels against loops in float64, at sizes that fit no tile, and cuBLAS's products against a loop. A tolerance is relative
// to the largest element; errors are printed, so that a change shows.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "abi.h"

struct cublasContext;
EMU_API int cublasCreate_v2(cublasContext **handle);
EMU_API int cublasDestroy_v2(cublasContext *handle);
EMU_API int cublasSetStream_v2(cublasContext *h, CUstream stream);
EMU_API int cublasGemmEx(cublasContext *h, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda, const void *b,
                         int type_b, int ldb, const void *beta, void *c, int type_c, int ldc, int compute, int algorithm);

namespace {

std::mt19937 random_bits(7);
int failures;

void must(CUresult r, const char *call) {
  if (r) printf("%s: error %d\n", call, r), exit(1);
}
#define MUST(call) must(call, #call)

std::vector<float> normals(size_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float &x : v) x = normal(random_bits);
  return v;
}

template <class T> CUdeviceptr upload(const std::vector<T> &v) {
  CUdeviceptr p;
  MUST(cuMemAlloc_v2(&p, (v.size() + v.empty()) * sizeof(T)));
  MUST(cuMemcpyHtoD_v2(p, v.data(), v.size() * sizeof(T)));
  return p;
}
CUdeviceptr room(size_t n) {
  CUdeviceptr p;
  MUST(cuMemAlloc_v2(&p, n * sizeof(float)));
  return p;
}
std::vector<float> download(CUdeviceptr p, size_t n) {
  std::vector<float> v(n);
  MUST(cuMemcpyDtoH_v2(v.data(), p, n * sizeof(float)));
  return v;
}

CUmodule module;
template <class... A> void launch(const char *name, unsigned blocks, unsigned threads, CUstream stream, A... arguments) {
  CUfunction f;
  MUST(cuModuleGetFunction(&f, module, name));
  void *parameters[] = {&arguments...};
  MUST(cuLaunchKernel(f, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, nullptr));
}

void compare(const std::string &what, const std::vector<float> &got, const std::vector<double> &want, double tolerance) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < got.size(); i++) {
    if (isinf(want[i]) && got[i] == want[i]) continue;
    error = std::max(error, isnan(got[i]) ? INFINITY : fabs(got[i] - want[i]));
    largest = std::max(largest, fabs(want[i]));
  }
  error /= largest > 0 ? largest : 1;
  bool good = error <= tolerance;
  failures += !good;
  printf("%-4s %-44s error %.1e\n", good ? "ok" : "FAIL", what.c_str(), error);
}

void test_spmm(int rows, int columns, int d, int most, bool scaled) {
  std::vector<int> begin, end, column;
  for (int i = 0; i < rows; i++) { // slots with gaps, empty rows among them
    begin.push_back(int(column.size()));
    int n = int(random_bits() % (most + 1));
    for (int k = 0; k < n; k++) column.push_back(int(random_bits() % columns));
    end.push_back(int(column.size()));
    for (unsigned k = random_bits() % 3; k > 0; k--) column.push_back(-1);
  }
  auto v = normals(column.size()), r = normals(rows), c = normals(columns), x = normals(size_t(columns) * d);
  std::vector<double> want(size_t(rows) * d);
  for (int i = 0; i < rows; i++)
    for (int e = begin[i]; e < end[i]; e++)
      for (int k = 0; k < d; k++)
        want[size_t(i) * d + k] += (scaled ? double(r[i]) * v[e] * c[column[e]] : 1) * x[size_t(column[e]) * d + k];
  CUdeviceptr null = 0, y = room(size_t(rows) * d);
  launch("spmm", (rows + 7) / 8, 256, nullptr, rows, d, upload(begin), upload(end), upload(column), scaled ? upload(v) : null, scaled ? upload(r) : null,
         scaled ? upload(c) : null, upload(x), y);
  compare("spmm " + std::to_string(rows) + "x" + std::to_string(columns) + ", d " + std::to_string(d) + (scaled ? ", scaled" : ""),
          download(y, size_t(rows) * d), want, 1e-6);
}

// Logits of several tiles, captured as a graph and launched twice.
void test_logsumexp(int rows, int columns, int tile, bool biased) {
  auto a = normals(size_t(rows) * columns), bias = normals(columns);
  for (float &x : a) x *= 40;
  for (int n = 0; n < columns; n += 3) bias[n] = -INFINITY;
  std::vector<double> want(rows);
  for (int b = 0; b < rows; b++) {
    double m = -INFINITY, s = 0;
    for (int n = 0; n < columns; n++) m = std::max(m, double(a[size_t(b) * columns + n]) + (biased ? bias[n] : 0));
    for (int n = 0; n < columns; n++) s += exp(a[size_t(b) * columns + n] + (biased ? double(bias[n]) : 0) - m);
    want[b] = isinf(m) ? -INFINITY : m + log(s);
  }
  CUdeviceptr da = upload(a), dbias = upload(bias), m = room(rows), s = room(rows), lse = room(rows), null = 0;
  CUstream stream;
  CUgraph graph;
  CUgraphExec exec;
  MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  MUST(cuStreamBeginCapture_v2(stream, 0));
  for (int n = 0; n < columns; n += tile)
    launch("logsumexp_tile", rows, 256, stream, std::min(tile, columns - n), columns, da + n * sizeof(float), biased ? dbias + n * sizeof(float) : null, m, s,
           lse, int(n == 0), int(n + tile >= columns));
  MUST(cuStreamEndCapture(stream, &graph));
  MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < 2; i++) MUST(cuGraphLaunch(exec, stream));
  MUST(cuStreamSynchronize(stream));
  compare("logsumexp " + std::to_string(rows) + "x" + std::to_string(columns) + ", tile " + std::to_string(tile) + (biased ? ", biased" : ""),
          download(lse, rows), want, 1e-6);
  MUST(cuGraphExecDestroy(exec));
  MUST(cuGraphDestroy(graph));
  MUST(cuStreamDestroy_v2(stream));
}

void test_tensor() {
  for (int k : {8, 16}) {
    auto a = normals(16 * k), b = normals(8 * k);
    std::vector<double> want(16 * 8);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 8; j++)
        for (int q = 0; q < k; q++) want[i * 8 + j] += double(a[i * k + q]) * b[j * k + q];
    CUdeviceptr c = room(16 * 8), da = upload(a), db = upload(b);
    if (k == 8) {
      launch("product_tf32", 1, 32, nullptr, da, db, c);
      compare("mma tf32 16x8x8", download(c, 128), want, 1e-3);
      continue;
    }
    for (int transposed : {0, 1}) {
      launch("product_bf16", 1, 32, nullptr, da, db, c, transposed);
      compare(std::string("mma bf16 16x8x16, ldmatrix") + (transposed ? " transposed" : ""), download(c, 128), want, 8e-3);
    }
  }
}

void test_language() {
  const std::vector<double> want = {1, 1.015625, 1.0009765625, 0.333251953125, 5.9604644775390625e-8, 2, 4, 0.125, 0.5, 1, 8, 32, 31, 4, 1, 3, 2};
  CUdeviceptr y = room(want.size());
  launch("language_arithmetic", 1, 32, nullptr, y);
  compare("language: arithmetic", download(y, want.size()), want, 0);

  std::vector<double> rows;
  auto row = [&](auto f) { for (int t = 0; t < 64; t++) rows.push_back(f(t % 32)); };
  row([](int lane) { return lane + 3 < 32 ? lane + 3 : lane; });
  row([](int lane) { return lane >= 3 ? lane - 3 : lane; });
  row([](int lane) { return lane / 8 * 8 + 1; });
  for (int v : {8, 2, 8, 2}) row([v](int) { return v; });
  std::vector<int> counters(7);
  CUdeviceptr z = room(rows.size()), c = upload(counters);
  launch("language_together", 1, 64, nullptr, z, c);
  compare("language: shuffles, votes, barriers", download(z, rows.size()), rows, 0);
  MUST(cuMemcpyDtoH_v2(counters.data(), c, counters.size() * sizeof(int)));
  compare("language: atomics", {counters.begin(), counters.end()}, {64, 63, -63, 255, 5, 7, 4}, 0);
}

// Without a seed threads come in their natural order; with one, blocks, warps and lanes each come in another.
void test_order() {
  const int blocks = 5, threads = 96, n = blocks * threads;
  CUdeviceptr y = room(n), c = upload(std::vector<int>(1));
  launch("language_order", blocks, threads, nullptr, c, y);
  auto got = download(y, n);
  std::vector<bool> seen(n);
  // Which of them come before a lower one: blocks of the grid, lanes of their warp, and warps of their block by when each began.
  bool by_block = false, by_warp = false, by_lane = false;
  std::vector<int> last_lane(n / 32, -1), last_warp(blocks, -1);
  int last_block = -1;
  for (int i = 0; i < n; i++) {
    int t = int(got[i]), lane = t % 32, warp = t / 32, b = t / threads;
    seen[t] = true;
    by_lane |= lane < last_lane[warp];
    if (last_lane[warp] < 0) by_warp |= warp < last_warp[b], last_warp[b] = warp;
    last_lane[warp] = lane;
    by_block |= b < last_block, last_block = b;
  }
  bool seeded = getenv("CUEMU_SEED") && atoi(getenv("CUEMU_SEED"));
  bool good = std::find(seen.begin(), seen.end(), false) == seen.end() && by_block == seeded && by_warp == seeded && by_lane == seeded;
  failures += !good;
  printf("%-4s order of the schedule, %s\n", good ? "ok" : "FAIL", seeded ? "seeded" : "natural");
}

void test_events() {
  CUevent from, to;
  float ms = -1;
  MUST(cuEventCreate(&from, 0));
  MUST(cuEventCreate(&to, 0));
  MUST(cuEventRecord(from, nullptr));
  CUdeviceptr y = room(17);
  launch("language_arithmetic", 1, 32, nullptr, y);
  MUST(cuEventRecord(to, nullptr));
  bool waits = cuEventElapsedTime(&ms, from, to) == CUDA_ERROR_NOT_READY;
  MUST(cuEventSynchronize(to));
  MUST(cuEventElapsedTime(&ms, from, to));
  bool good = waits && ms > 0 && ms < 1e4;
  failures += !good;
  printf("%-4s events\n", good ? "ok" : "FAIL");
}

void test_blas(int m, int n, int k, int op_a, int op_b) {
  int lda = (op_a ? k : m) + 1, ldb = (op_b ? n : k) + 2, ldc = m + 3;
  auto a = normals(size_t(lda) * (op_a ? m : k)), b = normals(size_t(ldb) * (op_b ? k : n)), c = normals(size_t(ldc) * n);
  float alpha = 1.5f, beta = -0.5f;
  std::vector<double> want(c.begin(), c.end());
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) {
      double sum = 0;
      for (int q = 0; q < k; q++) sum += double(op_a ? a[q + i * lda] : a[i + q * lda]) * (op_b ? b[j + q * ldb] : b[q + j * ldb]);
      want[i + j * ldc] = alpha * sum + beta * c[i + j * ldc];
    }
  cublasContext *h;
  CUdeviceptr dc = upload(c);
  auto pointer = [](CUdeviceptr p) { return reinterpret_cast<void *>(p); };
  cublasCreate_v2(&h);
  if (cublasGemmEx(h, op_a, op_b, m, n, k, &alpha, pointer(upload(a)), 0, lda, pointer(upload(b)), 0, ldb, &beta, pointer(dc), 0, ldc, 68, -1)) failures++;
  cublasDestroy_v2(h);
  compare("cublasGemmEx " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) + " ops " + std::to_string(op_a) + std::to_string(op_b),
          download(dc, c.size()), want, 1e-6);
}

} // namespace

int main() {
  CUcontext context;
  MUST(cuInit(0));
  MUST(cuCtxCreate_v2(&context, 0, 0));
  MUST(cuModuleLoadData(&module, "\x7f" "ELF"));
  test_spmm(1, 1, 4, 1, false);
  test_spmm(37, 53, 64, 71, true);
  test_spmm(9, 5, 68, 3, true);
  test_spmm(130, 200, 60, 0, false);
  test_spmm(65, 33, 132, 40, false);
  test_logsumexp(1, 1, 1, false);
  test_logsumexp(3, 1, 1, true); // every column absent: -inf
  test_logsumexp(7, 259, 100, true);
  test_logsumexp(5, 1000, 256, false);
  test_tensor();
  test_language();
  test_order();
  test_events();
  for (int op_a : {0, 1})
    for (int op_b : {0, 1}) test_blas(7, 5, 11, op_a, op_b);
  MUST(cuCtxSynchronize());
  if (cuemuErrors()) failures++;
  MUST(cuCtxDestroy_v2(context));
  printf("%s build: %s\n", cuemuChecked() ? "checked" : "fast", failures ? "FAILED" : "ok");
  return failures != 0;
}
