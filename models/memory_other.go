//go:build !linux

package models

// availableMemory is not known here: -max-memory says it.
func availableMemory() int64 { return 0 }
