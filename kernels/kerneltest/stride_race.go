//go:build race

package kerneltest

// RunAll runs one case in stride. The race detector slows the suite tenfold and looks at addresses, not at values.
const stride = 12
