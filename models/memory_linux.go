package models

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// availableMemory is what the kernel estimates that a process can take without swapping, in bytes; 0 where it does not say.
func availableMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if text, found := strings.CutPrefix(lines.Text(), "MemAvailable:"); found {
			if _, err := fmt.Sscanf(text, "%d kB", &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
