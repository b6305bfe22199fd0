package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/models"
)

// featuredFolder adds features of two modalities for items 0 to n-1 to a folder.
func featuredFolder(t *testing.T, dir string, n int) string {
	t.Helper()
	for name, dim := range map[string]int{"image": 5, "text": 3} {
		header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", n, dim)
		header += strings.Repeat(" ", 117-len(header)) + "\n"
		b := append([]byte("\x93NUMPY\x01\x00\x76\x00"), header...)
		for k := range n * dim {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(math.Sin(float64(k*k)))))
		}
		if err := os.WriteFile(filepath.Join(dir, name+"_feat.npy"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// takesFeatures tells whether a model wants them.
func takesFeatures(spec models.Spec) bool {
	_, takes := spec.Options().(models.Featured)
	return takes
}

// The embedded data has no features: the defaults for it would be those of runs that cannot be.
func TestDefaultsWithoutDataForFeatures(t *testing.T) {
	for _, spec := range models.All() {
		c, err := bind(spec, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range c.set.Options() {
			if takesFeatures(spec) && strings.Contains(o.Source, "embedded") {
				t.Errorf("-%s of %s is %s by %q", o.Name, spec.Name, o.Value(), o.Source)
			}
		}
	}
	if got := runCommand(t, "-model", "bm3"); got.err == nil || !strings.Contains(got.err.Error(), "name a folder that has them with -data") {
		t.Errorf("bm3 on the embedded data: %v", got.err)
	}
}
