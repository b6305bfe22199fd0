//go:build !race

package kerneltest

// RunAll runs one case in stride: all of them.
const stride = 1
