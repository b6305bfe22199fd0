package main

import (
	"cmp"
	"os"
	"runtime"
	"strings"
)

// processor is the name that the processor gives itself, and those of its instruction sets that kernels are written for.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // it has one block a thread; without it the architecture must do
	var name string
	var sets []string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch key, value = strings.TrimSpace(key), strings.TrimSpace(value); {
		case key == "model name" && name == "":
			name = value
		case key == "flags" && sets == nil:
			for _, flag := range strings.Fields(value) {
				switch flag {
				case "avx2", "fma", "f16c", "avx512f", "avx512_bf16":
					sets = append(sets, flag)
				}
			}
		}
	}
	name = cmp.Or(name, runtime.GOARCH)
	if len(sets) > 0 {
		name += " (" + strings.Join(sets, " ") + ")"
	}
	return name
}
