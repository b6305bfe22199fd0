//go:build gpu && linux && amd64 && cgo

package driver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// file makes an empty file, with its folders, and returns its path.
func file(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A toolkit that is named comes before the library path, and that before a wheel; in a toolkit 13 comes before 12, and 13 is left out where
// the driver is of CUDA 12.
func TestPlacesOfBLAS(t *testing.T) {
	root := t.TempDir()
	named13 := file(t, root, "cuda/lib64/libcublas.so.13")
	named12 := file(t, root, "cuda/targets/x86_64-linux/lib/libcublas.so.12")
	conda := file(t, root, "conda/lib/libcublas.so.11")
	wheel12 := file(t, root, "venv/lib/python3.12/site-packages/nvidia/cublas/lib/libcublas.so.12")
	wheel13 := file(t, root, "venv/lib/python3.12/site-packages/nvidia/cu13/lib/libcublas.so.13")
	file(t, root, "cuda/lib64/libcublas.so")
	file(t, root, "cuda/lib64/libcublasLt.so.13")
	env := map[string]string{"CUDA_PATH": root + "/cuda", "CONDA_PREFIX": root + "/conda", "VIRTUAL_ENV": root + "/venv"}
	for _, c := range []struct {
		driver int
		want   []string
	}{
		{14, []string{named13, named12, "libcublas.so.13", "libcublas.so.12", "libcublas.so.11", conda, wheel13, wheel12}},
		{13, []string{named13, named12, "libcublas.so.13", "libcublas.so.12", "libcublas.so.11", conda, wheel13, wheel12}},
		{12, []string{named12, "libcublas.so.12", "libcublas.so.11", conda, wheel12}},
		{11, []string{"libcublas.so.11", conda}},
	} {
		places, err := blasPlaces(func(name string) string { return env[name] }, c.driver)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range places {
			if tooNew(p, c.driver) {
				continue
			}
			if !filepath.IsAbs(p.path) || strings.HasPrefix(p.path, root) { // what this machine has is its own matter
				got = append(got, p.path)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("driver of CUDA %d: tries\n%s\nwant\n%s", c.driver, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestPlacesOfDriver(t *testing.T) {
	root := t.TempDir()
	compat := file(t, root, "compat/libcuda.so.1")
	file(t, root, "lib64/stubs/libcuda.so.1")
	places, err := driverPlaces(func(name string) string { return map[string]string{"CUDA_HOME": root}[name] })
	if err != nil {
		t.Fatal(err)
	}
	if places[0] != (place{"libcuda.so.1", "library path"}) || !slices.Contains(places, place{compat, "CUDA_HOME"}) {
		t.Error(places)
	}
	for _, p := range places {
		if strings.Contains(p.path, "stubs") {
			t.Errorf("%s is a stub for linking", p.path)
		}
	}
}

// A wheel's libcublas wants the libcublasLt beside it, and does not say where that is.
func TestBLASOfAWheel(t *testing.T) {
	driver := driverVariable + "=" + compile(t, "cuda.c", "libcuda.so.1")
	venv := t.TempDir()
	cublas := file(t, venv, "lib/python3.11/site-packages/nvidia/cublas/lib/libcublas.so.12")
	lt := filepath.Join(filepath.Dir(cublas), "libcublasLt.so.12")
	cc(t, "-shared", "-fPIC", "-Wl,-soname,libcublasLt.so.12", "-o", lt, "-x", "c", os.DevNull)
	cc(t, "-shared", "-fPIC", "-Wl,-soname,libcublas.so.12", "-o", cublas, "testdata/cublas.c", "-Wl,--no-as-needed", lt)
	got := inProcess(t, "inspect", driver, "VIRTUAL_ENV="+venv)
	if !strings.Contains(got, "libcublas: "+cublas) && !strings.Contains(got, "libcublas: no ") {
		t.Skip("this machine has a cuBLAS, which comes first")
	}
	wants(t, got, "libcublas: "+cublas+", version 12.4.5\n", "tried "+cublas+" (Python wheel): in use\n", "GPU 0 (Fake GPU)")

	newer := file(t, venv, "lib/python3.11/site-packages/nvidia/cu13/lib/libcublas.so.13")
	wants(t, inProcess(t, "inspect", driver, "VIRTUAL_ENV="+venv),
		"tried "+newer+" (Python wheel): newer than the driver, which is of CUDA 12.4\n", "libcublas: "+cublas)

	if err := os.Remove(lt); err != nil {
		t.Fatal(err)
	}
	wants(t, inProcess(t, "inspect", driver, "VIRTUAL_ENV="+venv), "libcublasLt.so.12: cannot open shared object file", "libcublas: no libcublas.so.12 or 11: ")
}

// A cuBLAS without code for a GPU gives way to one that has it, and is used where there is no other.
func TestBLASOfAnotherGPU(t *testing.T) {
	toolkit := func(majors ...string) string {
		root := t.TempDir()
		for _, major := range majors {
			if err := os.Rename(compile(t, "cublas.c", "libcublas.so", "-DMAJOR="+major), file(t, root, "lib64/libcublas.so."+major)); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	volta := driverVariable + "=" + compile(t, "cuda.c", "libcuda.so.1", "-DMAJOR=7", "-DVERSION=13000")
	blackwell := driverVariable + "=" + compile(t, "cuda.c", "libcuda.so.1", "-DMAJOR=10", "-DVERSION=13000")
	root := toolkit("13", "12")
	wants(t, inProcess(t, "inspect", volta, "CUDA_PATH="+root), "cuBLAS 13.4.5 has no code for GPU 0 (Fake GPU), of compute capability 7.0: 12 has", "version 12.4.5")
	wants(t, inProcess(t, "inspect", blackwell, "CUDA_PATH="+root), "version 13.4.5")
	root = toolkit("12")
	got := inProcess(t, "inspect", blackwell, "CUDA_PATH="+root)
	if !strings.Contains(got, "version 13.4.5") { // of this machine
		wants(t, got, "cuBLAS 12.4.5 has no code for GPU 0 (Fake GPU), of compute capability 10.0: 12.8 has", "version 12.4.5")
	}
}

// Without a cuBLAS no GPU is used, and the reason is what to install: the newest that the driver runs, where blasPlaces finds it.
func TestWithoutBLAS(t *testing.T) {
	for version, wheel := range map[string]string{"11080": "nvidia-cublas-cu11", "12040": "nvidia-cublas-cu12", "13050": "nvidia-cublas==13.*", "14000": "nvidia-cublas==13.*"} {
		got := inProcess(t, "inspect", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1", "-DVERSION="+version))
		if !strings.Contains(got, "libcublas: no ") {
			t.Skip("this machine has a cuBLAS")
		}
		_, reason, _ := strings.Cut(got, "no GPU is used: no libcublas.so.")
		wants(t, reason, ": pip install '"+wheel+"' in an active venv, or set "+blasVariable+" to its file or folder; tried libcublas.so.")
	}
}

// The variable names the only cuBLAS, and what is wrong with it is said.
func TestNamedBLAS(t *testing.T) {
	driver := driverVariable + "=" + compile(t, "cuda.c", "libcuda.so.1")
	cublas := compile(t, "cublas.c", "libcublas.so.12")
	wants(t, inProcess(t, "inspect", driver, blasVariable+"="+filepath.Dir(cublas)), "libcublas: "+cublas+", version 12.4.5\n", "lacks ")
	other := compile(t, "cuda.c", "libother.so")
	wants(t, inProcess(t, "inspect", driver, blasVariable+"="+other), "libcublas: "+blasVariable+"="+other+": no cuBLAS: it has no cublasCreate_v2\n")
	gone := filepath.Join(t.TempDir(), "libcublas.so.12")
	wants(t, inProcess(t, "inspect", driver, blasVariable+"="+gone), "libcublas: "+blasVariable+"="+gone+": no such file or directory\n")
	folder := t.TempDir()
	wants(t, inProcess(t, "inspect", driver, blasVariable+"="+folder), "the folder has no libcublas.so.12, libcublas.so.11\n")
}
