//go:build gpu && linux && amd64 && cgo

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/kernels/cuda/emu/control"
)

// On the emulated GPU everything is verified and nothing timed, and it is said why.
func TestEmulatedIsNotTimed(t *testing.T) {
	control.Need(t)
	file := filepath.Join(t.TempDir(), "a.json")
	var out, errs bytes.Buffer
	if err := command(t.Context(), quick("-variant", "cuda", "-json", file), &out, &errs); err != nil {
		t.Fatal(err, out.String())
	}
	if !strings.Contains(errs.String(), "emulated") {
		t.Errorf("it does not say why nothing is timed: %s", errs.String())
	}
	records, err := readJSON(file)
	if err != nil || len(records) == 0 {
		t.Fatal(records, err)
	}
	for _, r := range records {
		if r.Kernel == "SpMM half" && r.Note == "not offered" { // the processor's
			continue
		}
		if !r.Verified || r.MS != nil || r.Share != nil || !strings.Contains(r.Note, "emulated") {
			t.Errorf("%s: %+v", r.Kernel, r)
		}
	}
}
