// The toolkit's cuda.h, with the signatures that gorgonia.org/cu v0.9.6 was written for.
//
// CUDA 13 maps five plain names to newer functions with other parameters, and cu calls them with the old ones. The driver still has the old
// functions (it breaks no program that was linked against them): here the names mean those again. Headers up to 12.x pass as they are.
//
// This folder stands before the toolkit's on the include path (CGO_CFLAGS, which kernels/cuda/toolkit prints). An -include option would not
// do: cgo reads a file's own #include lines as well.
#include_next <cuda.h>

#ifndef NEARFAR_CUDA_H
#define NEARFAR_CUDA_H
#if CUDA_VERSION >= 13000

#undef cuCtxCreate
#define cuCtxCreate cuCtxCreate_v2
CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice device);

#undef cuMemAdvise
CUresult cuMemAdvise(CUdeviceptr data, size_t bytes, CUmem_advise advice, CUdevice device);

#undef cuMemPrefetchAsync
CUresult cuMemPrefetchAsync(CUdeviceptr data, size_t bytes, CUdevice device, CUstream stream);

#undef cuGraphGetEdges
CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *edges);

#undef cuGraphAddDependencies
CUresult cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, size_t edges);

#endif
#endif
