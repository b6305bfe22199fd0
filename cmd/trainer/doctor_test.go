package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// doctor names the build, the processor, its kernels, and what a run would train on.
func TestDoctor(t *testing.T) {
	var out bytes.Buffer
	if err := doctor(nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"build      go1.", "processor  ", "kernels    cpu/", "cuda       ", "-gpu auto  trains on c"} {
		if !strings.Contains("\n"+out.String(), "\n"+want) {
			t.Errorf("no line begins with %q:\n%s", want, &out)
		}
	}
	var wrong *usageError
	if err := doctor([]string{"-gpu", "0"}, &out); !errors.As(err, &wrong) {
		t.Errorf("doctor with options: %v", err)
	}
}
