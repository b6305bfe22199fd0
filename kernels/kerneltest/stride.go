//go:build !race

package kerneltest

// One case in stride runs: all of them.
const stride = 1
