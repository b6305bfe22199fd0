//go:build gpu && linux && amd64 && cgo

package main

import "nearfar/kernels/cuda/emu/control"

// emulated tells whether the driver is the one that runs kernels on the processor.
func emulated() bool {
	_, err := control.Open()
	return err == nil
}
