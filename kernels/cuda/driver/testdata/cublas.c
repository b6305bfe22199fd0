// A cuBLAS for the tests of package driver: column-major products of float32 on the CPU.
#include <stddef.h>
#include <stdlib.h>

#ifndef MAJOR
#define MAJOR 12
#endif

struct handle { void *stream, *workspace; };

int cublasGetProperty(int part, int *value) { *value = part == 0 ? MAJOR : part == 1 ? 4 : 5; return 0; }
int cublasCreate_v2(struct handle **h) { *h = calloc(1, sizeof **h); return 0; }
int cublasDestroy_v2(struct handle *h) { if (!h) return 1; free(h); return 0; }
int cublasSetStream_v2(struct handle *h, void *s) { h->stream = s; return 0; }
int cublasSetWorkspace_v2(struct handle *h, void *p, size_t n) { h->workspace = p; return n >= 1 << 10 ? 0 : 7; }

int cublasGemmEx(struct handle *h, int ta, int tb, int m, int n, int k, const float *alpha, const float *a, int type_a, int lda, const float *b,
		int type_b, int ldb, const float *beta, float *c, int type_c, int ldc, int compute, int algorithm) {
	if (!h) return 1;
	if (type_a || type_b || type_c || compute != 69 || algorithm != -1) return 15;
	if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) return 7;
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++) {
			float sum = 0;
			for (int l = 0; l < k; l++) sum += a[ta ? l + (size_t)i * lda : i + (size_t)l * lda] * b[tb ? j + (size_t)l * ldb : l + (size_t)j * ldb];
			float *at = c + i + (size_t)j * ldc;
			*at = *alpha * sum + (*beta == 0 ? 0 : *beta * *at);
		}
	return 0;
}

int cublasGemmStridedBatchedEx(struct handle *h, int ta, int tb, int m, int n, int k, const float *alpha, const float *a, int type_a, int lda,
		long long stride_a, const float *b, int type_b, int ldb, long long stride_b, const float *beta, float *c, int type_c, int ldc,
		long long stride_c, int batches, int compute, int algorithm) {
	int status = 0;
	for (long long i = 0; i < batches && !status; i++)
		status = cublasGemmEx(h, ta, tb, m, n, k, alpha, a + i * stride_a, type_a, lda, b + i * stride_b, type_b, ldb, beta, c + i * stride_c, type_c, ldc,
			compute, algorithm);
	return status;
}

// Of cu/blas, which hands host slices over.
int cublasSdot_v2(struct handle *h, int n, const float *x, int incx, const float *y, int incy, float *result) {
	if (!h) return 1;
	*result = 0;
	for (int i = 0; i < n; i++) *result += x[i * incx] * y[i * incy];
	return 0;
}
