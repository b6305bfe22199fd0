//go:build !linux

package cpu

func alignment(int64) int64 { return cacheLine }

func advise([]byte) {}
