//go:build gpu && linux && amd64 && cgo

package device

// image stands in for the compiled kernels: the emulated driver has them linked in.
const image = "\x7fELF"
