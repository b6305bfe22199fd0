// A cuBLAS for the tests of package driver: column-major products on the CPU, of float32 and, rounded down to it, bfloat16.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAJOR
#define MAJOR 12
#endif

struct handle { void *stream, *workspace; int mode; };

int cublasGetProperty(int part, int *value) { *value = part == 0 ? MAJOR : part == 1 ? 4 : 5; return 0; }
int cublasCreate_v2(struct handle **h) { *h = calloc(1, sizeof **h); return 0; }
int cublasDestroy_v2(struct handle *h) { if (!h) return 1; free(h); return 0; }
int cublasSetStream_v2(struct handle *h, void *s) { h->stream = s; return 0; }
int cublasSetMathMode(struct handle *h, int mode) { h->mode = mode; return mode == 2 || mode == 3 || mode == 0 ? 0 : 7; }
int cublasSetWorkspace_v2(struct handle *h, void *p, size_t n) { h->workspace = p; return n >= 1 << 10 ? 0 : 7; }

enum { float32 = 0, bfloat16 = 14 };

static float get(const void *p, int type, size_t i) {
	if (type == float32) return ((const float *)p)[i];
	uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
	float f;
	memcpy(&f, &bits, 4);
	return f;
}

static void put(void *p, int type, size_t i, float f) {
	if (type == float32) {
		((float *)p)[i] = f;
		return;
	}
	uint32_t bits;
	memcpy(&bits, &f, 4);
	((uint16_t *)p)[i] = bits >> 16;
}

int cublasGemmEx(struct handle *h, int ta, int tb, int m, int n, int k, const float *alpha, const void *a, int type_a, int lda, const void *b,
		int type_b, int ldb, const float *beta, void *c, int type_c, int ldc, int compute, int algorithm) {
	if (!h || algorithm != -1) return 1;
	if (compute < 64 || (type_a != float32 && type_a != bfloat16) || type_a != type_b) return 15;
	if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7;
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++) {
			float sum = 0;
			for (int l = 0; l < k; l++)
				sum += get(a, type_a, ta ? l + (size_t)i * lda : i + (size_t)l * lda) * get(b, type_b, tb ? j + (size_t)l * ldb : l + (size_t)j * ldb);
			size_t at = i + (size_t)j * ldc;
			put(c, type_c, at, *alpha * sum + (*beta == 0 ? 0 : *beta * get(c, type_c, at)));
		}
	return 0;
}

int cublasSgemm_v2(struct handle *h, int ta, int tb, int m, int n, int k, const float *alpha, const float *a, int lda, const float *b, int ldb,
		const float *beta, float *c, int ldc) {
	return cublasGemmEx(h, ta, tb, m, n, k, alpha, a, float32, lda, b, float32, ldb, beta, c, float32, ldc, 68, -1);
}

static int size(int type) { return type == float32 ? 4 : 2; }

int cublasGemmStridedBatchedEx(struct handle *h, int ta, int tb, int m, int n, int k, const float *alpha, const char *a, int type_a, int lda,
		long long stride_a, const char *b, int type_b, int ldb, long long stride_b, const float *beta, char *c, int type_c, int ldc,
		long long stride_c, int batches, int compute, int algorithm) {
	int status = 0;
	for (long long i = 0; i < batches && !status; i++)
		status = cublasGemmEx(h, ta, tb, m, n, k, alpha, a + i * stride_a * size(type_a), type_a, lda, b + i * stride_b * size(type_b), type_b,
			ldb, beta, c + i * stride_c * size(type_c), type_c, ldc, compute, algorithm);
	return status;
}

// Of cu/blas, which hands host slices over.
int cublasSdot_v2(struct handle *h, int n, const float *x, int incx, const float *y, int incy, float *result) {
	if (!h) return 1;
	*result = 0;
	for (int i = 0; i < n; i++) *result += x[i * incx] * y[i * incy];
	return 0;
}
