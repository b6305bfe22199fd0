package cpu_test

import (
	"runtime"
	"syscall"
	"time"
)

// processorTime is what this thread has used: on a machine that others use too, it says more than the clock on the wall.
func processorTime() time.Duration {
	const thread = 1
	runtime.LockOSThread()
	var u syscall.Rusage
	syscall.Getrusage(thread, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
