package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What is committed is what the generator writes.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what symbols.txt and api.h give: run go generate in kernels/cuda/driver", name)
		}
	}
}

// symbols.txt is of the cu that go.mod pins. That it is complete the linker proves, in every build with the tag.
func TestSymbolsAreOfThePinnedVersion(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../symbols.txt")
	if err != nil {
		t.Fatal(err)
	}
	if want := module + " " + strings.TrimSpace(string(out)) + " "; !strings.Contains(string(text), want) {
		t.Errorf("symbols.txt is not of %s: go run ./gen -import, as gen/main.go says", want)
	}
}

func TestPartsByLibrary(t *testing.T) {
	got := byLibrary([]string{"cublasSgemm_v2", "cuInit", "cuMemAlloc_v2", "cuInit"})
	if strings.Join(got[0], " ") != "cuInit cuMemAlloc_v2" || strings.Join(got[1], " ") != "cublasSgemm_v2" {
		t.Error(got)
	}
	if got := declared([]byte("CUresult cuInit(unsigned flags);\n// cuOther(\ntypedef int CUresult;\ncublasStatus_t cublasCreate_v2(void);\n")); strings.Join(got, " ") != "cuInit cublasCreate_v2" {
		t.Error(got)
	}
}
