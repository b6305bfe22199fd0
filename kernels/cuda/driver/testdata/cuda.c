// A driver for the tests of package driver: device memory is host memory, and a captured graph counts how often it is launched. The macros
// say what it is like: INIT, the result of cuInit; VERSION; COUNT, devices; MAJOR, their compute capability; OLD leaves out a function that
// CUDA 12.8 renamed; MUTE, whose devices do not tell their memory.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef INIT
#define INIT 0
#endif
#ifndef VERSION
#define VERSION 12040
#endif
#ifndef COUNT
#define COUNT 1
#endif
#ifndef MAJOR
#define MAJOR 8
#endif

typedef unsigned long long address;

int cuInit(unsigned flags) { return flags ? 1 : INIT; }
int cuDriverGetVersion(int *v) { *v = VERSION; return 0; }
int cuDeviceGetCount(int *n) { *n = COUNT; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return i < COUNT ? 0 : 101; }
int cuDeviceGetName(char *name, int n, int d) { (void)d; strncpy(name, "Fake GPU", n); return 0; }
#ifdef MUTE
int cuDeviceTotalMem_v2(size_t *n, int d) { (void)n, (void)d; return 999; }
#else
int cuDeviceTotalMem_v2(size_t *n, int d) { (void)d; *n = (size_t)16 << 30; return 0; }
#endif
int cuDeviceGetAttribute(int *v, int a, int d) { (void)d; *v = a == 75 ? MAJOR : 0; return 0; }
int cuGetErrorName(int code, const char **name) { *name = code == 12345 ? "CUDA_ERROR_OF_THE_FUTURE" : 0; return *name ? 0 : 1; }

int cuMemAlloc_v2(address *p, size_t n) { *p = (address)calloc(1, n); return *p ? 0 : 2; }
int cuMemFree_v2(address p) { free((void *)p); return 0; }
int cuMemcpyHtoD_v2(address to, const void *from, size_t n) { memcpy((void *)to, from, n); return 0; }
int cuMemcpyDtoH_v2(void *to, address from, size_t n) { memcpy(to, (void *)from, n); return 0; }
int cuMemHostAlloc(void **p, size_t n, unsigned flags) { if (flags & ~7u) return 1; *p = calloc(1, n); return n > 1 << 20 ? 2 : 0; }
int cuMemFreeHost(void *p) { free(p); return 0; }

struct stream { int capturing, mode, work; };
struct graph { int work; };
static int graphs, launched;

int cuStreamCreate(struct stream **s, unsigned flags) { (void)flags; *s = calloc(1, sizeof **s); return 0; }
int cuStreamDestroy_v2(struct stream *s) { free(s); return 0; }
int cuStreamSynchronize(struct stream *s) { if (s->capturing) return 900; return 0; }
int cuMemsetD8Async(address p, unsigned char c, size_t n, struct stream *s) { (void)p, (void)c, (void)n; s->work++; return 0; }
int cuStreamBeginCapture_v2(struct stream *s, int mode) { if (!s || s->capturing) return 900; s->capturing = 1, s->mode = mode, s->work = 0; return 0; }
int cuStreamEndCapture(struct stream *s, struct graph **g) {
	if (!s->capturing) return 901;
	s->capturing = 0, *g = calloc(1, sizeof **g), (*g)->work = s->work, graphs++;
	return 0;
}
int cuGraphInstantiateWithFlags(struct graph **x, struct graph *g, unsigned long long f) { if (f) return 1; *x = calloc(1, sizeof **x), **x = *g, graphs++; return 0; }
int cuGraphLaunch(struct graph *x, struct stream *s) { (void)s; launched += x->work; return 0; }
int cuGraphDestroy(struct graph *g) { free(g), graphs--; return 0; }
int cuGraphExecDestroy(struct graph *g) { free(g), graphs--; return 0; }

int cuFuncSetAttribute(void *f, int attribute, int value) { return f || attribute != 8 ? 1 : value > 227 << 10 ? 1 : 0; }

// The tests ask for the counts by functions of cu whose results it returns as they are.
int cuCtxGetLimit(size_t *value, int limit) { *value = limit ? launched : graphs; return 0; }

#ifdef OLD
int cuEventElapsedTime(float *ms, void *a, void *b) { (void)a, (void)b; *ms = 1.5f; return 0; }
#else
int cuEventElapsedTime_v2(float *ms, void *a, void *b) { (void)a, (void)b; *ms = 2.5f; return 0; }
int cuEventElapsedTime(float *ms, void *a, void *b) { return cuEventElapsedTime_v2(ms, a, b); }
#endif
