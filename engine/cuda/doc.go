// Package cuda is the device of NVIDIA's GPUs: plans run by the kernels of kernels/cuda, a step as one CUDA graph.
//
// A build without the tag gpu has the same functions, and Open says why there is no GPU in it: nobody above this package has a build tag.
package cuda
