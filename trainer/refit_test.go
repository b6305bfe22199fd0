package trainer

import (
	"path/filepath"
	"testing"

	"nearfar/trainer/runfolder"
)

// A refit counts where the run's own result is of it.
func TestOpenFinal(t *testing.T) {
	for _, tt := range []struct {
		name        string
		run, second any // results; nil: none
		refitted    bool
	}{
		{"refitted", Result{Epochs: 9, Refit: &Refit{Epochs: 4}}, Result{Epochs: 4}, true},
		{"of a former result", Result{Epochs: 9}, Result{Epochs: 4}, false},
		{"of another epoch", Result{Epochs: 9, Refit: &Refit{Epochs: 7}}, Result{Epochs: 4}, false},
		{"interrupted", Result{Epochs: 9}, nil, false},
		{"damaged", Result{Epochs: 9, Refit: &Refit{Epochs: 4}}, "half", false},
		{"the run has not ended", nil, Result{Epochs: 4}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			want := path
			if tt.refitted {
				want = filepath.Join(path, Refitted)
			}
			for _, folder := range []struct {
				path   string
				result any
			}{{path, tt.run}, {filepath.Join(path, Refitted), tt.second}} {
				f, err := runfolder.Renew(folder.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Unlock()
				if folder.result == nil {
					continue
				}
				if err := f.WriteResult(folder.result); err != nil {
					t.Fatal(err)
				}
			}
			if f, err := OpenFinal(path); err != nil || f.Path() != want {
				t.Errorf("%v (%v), want %s", f, err, want)
			}
		})
	}
}
