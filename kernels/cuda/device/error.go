//go:build gpu && linux && amd64 && cgo

package device

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nearfar/kernels/cuda/driver"
)

// lost are the results behind which nothing in a context works any more.
var lost = []driver.Result{
	driver.Deinitialized, driver.ECCUncorrectable, driver.NVLinkUncorrectable, driver.Contained, driver.IllegalAddress, driver.LaunchTimeout,
	driver.ContextIsDestroyed, driver.Assert, driver.HardwareStack, driver.IllegalInstruction, driver.MisalignedAddress, driver.InvalidAddressSpace,
	driver.InvalidPC, driver.LaunchFailed, driver.MPSConnectionFailed, driver.MPSRPCFailure, driver.MPSServerNotReady, driver.MPSMaxClientsReached,
	driver.MPSMaxConnectionsReached, driver.MPSClientTerminated, driver.Unknown,
}

// note keeps an error that makes the device unusable, and returns it.
func (d *Device) note(err error) error {
	if err == nil {
		return nil
	}
	var code driver.Result
	// cuBLAS has one status for a kernel of its own that failed, whatever the driver called it; in a capture, where nothing runs, also for one that
	// could not be captured.
	var captured *CaptureError
	if errors.As(err, &code) && slices.Contains(lost, code) || errors.Is(err, driver.ExecutionFailed) && !errors.As(err, &captured) {
		return d.fail(err)
	}
	return err
}

// fail makes the device unusable: what its memory holds is not known any more.
func (d *Device) fail(err error) error {
	if d.failed == nil {
		d.failed = &lostError{err}
	}
	return d.failed
}

// ErrLost is what errors.Is finds in the error with which a device became unusable, and which answers every later call.
var ErrLost = errors.New("the device is lost")

// lostError has the words of its cause.
type lostError struct{ cause error }

func (e *lostError) Error() string        { return e.cause.Error() }
func (e *lostError) Unwrap() error        { return e.cause }
func (e *lostError) Is(target error) bool { return target == ErrLost }

// A RunError is work that failed while the GPU did it. The device is unusable with it.
type RunError struct {
	Instruction int    // the last that left a mark, or -1; the failure is in it or in what was next
	Where       string // in words, with what was next
	Err         error
}

func (e *RunError) Error() string { return fmt.Sprintf("%s: %v", e.Where, e.Err) }
func (e *RunError) Unwrap() error { return e.Err }

// A CaptureError is a program that could not be captured into a CUDA graph. That of a step names it; the end of a capture knows of none.
type CaptureError struct{ Err error }

func (e *CaptureError) Error() string {
	text := "capturing a step: " + e.Err.Error()
	for _, refused := range []error{driver.CaptureUnsupported, driver.CaptureInvalidated, driver.CaptureImplicit, driver.ExecutionFailed, driver.InternalError} {
		if errors.Is(e.Err, refused) {
			return text + "; it does what cannot be captured into a CUDA graph (such as loading code or allocating memory): " + GraphVariable +
				"=off runs each step without a graph, more slowly"
		}
	}
	return text
}

func (e *CaptureError) Unwrap() error { return e.Err }

// OutOfMemory says that a GPU has not the memory that was asked for.
type OutOfMemory struct {
	What        string
	Bytes       int64
	Free, Total int64 // of the GPU; 0 and 0 where the driver cannot tell
	Held        []Use // by this device, the largest first
	Err         error // the driver's
}

// A Use is memory that a device holds under one name.
type Use struct {
	What  string
	Bytes int64
}

func (e *OutOfMemory) Unwrap() error { return e.Err }

func (e *OutOfMemory) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no memory on the GPU for %s: %s wanted", e.What, size(e.Bytes))
	if e.Total > 0 {
		fmt.Fprintf(&b, ", %s of %s free", size(e.Free), size(e.Total))
	}
	var held int64
	for _, u := range e.Held {
		held += u.Bytes
	}
	const shown = 4
	var most []string
	for _, u := range e.Held[:min(shown, len(e.Held))] {
		most = append(most, fmt.Sprintf("%s for %s", size(u.Bytes), u.What))
	}
	if len(e.Held) > 0 {
		fmt.Fprintf(&b, "; this process holds %s: %s", size(held), strings.Join(most, ", "))
	}
	if more := len(e.Held) - shown; more > 0 {
		fmt.Fprintf(&b, ", and %d others", more)
	}
	fmt.Fprintf(&b, " (%v)", e.Err)
	return b.String()
}

// size is a number of bytes for people.
func size(n int64) string {
	unit, name := int64(1), "bytes"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n < unit<<10 {
			break
		}
		unit, name = unit<<10, larger
	}
	if unit == 1 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", float64(n)/float64(unit), name)
}

// byName adds memory up by its names, the largest first.
func byName(uses []Use) []Use {
	var sums []Use
	at := map[string]int{}
	for _, u := range uses {
		if i, ok := at[u.What]; ok {
			sums[i].Bytes += u.Bytes
			continue
		}
		at[u.What] = len(sums)
		sums = append(sums, u)
	}
	slices.SortFunc(sums, func(a, b Use) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.What, b.What)) })
	return sums
}
