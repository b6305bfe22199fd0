//go:build !(gpu && linux && amd64 && cgo)

package main

func emulated() bool { return false }
