// Package memory says how much memory the process may still take, so that what would not fit is refused with a message: Go ends a process
// that asks for too much with a dump that names no option.
package memory

import "runtime/debug"

// Available is what the process can take without swapping and within its limits, in bytes; 0 where the system does not say.
func Available() int64 { return available() }

// Lacks tells whether need bytes are more than what is available, and what that is. Before it says so it gives back what Go keeps of memory that is
// no longer used: the trials of a grid follow one another in a process.
func Lacks(need int64) (available int64, lacks bool) {
	available = Available()
	if available == 0 || need <= available {
		return available, false
	}
	debug.FreeOSMemory()
	available = Available()
	return available, need > available
}

// GiB is the unit of messages and options.
const GiB = 1 << 30
