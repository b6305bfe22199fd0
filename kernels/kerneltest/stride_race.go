//go:build race

package kerneltest

// One case in stride runs, picked at random. The race detector slows the suite tenfold and looks at addresses, not at values.
const stride = 3
