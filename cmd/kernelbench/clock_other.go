//go:build !linux

package main

import "time"

// processorTime is the clock on the wall here.
func processorTime() time.Duration { return time.Since(started) }
