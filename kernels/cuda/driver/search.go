//go:build gpu && linux && amd64 && cgo

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	driverVariable = "NEARFAR_CUDA_DRIVER"
	blasVariable   = "NEARFAR_CUBLAS"
	newestBLAS     = 13
	oldestBLAS     = 11
)

// A place is a library to try. A path without a folder is for the dynamic linker to find: in LD_LIBRARY_PATH, in what ldconfig lists, and in
// the system's folders.
type place struct{ path, from string }

// blasName is the name of a major version of cuBLAS.
func blasName(major int) string { return fmt.Sprintf("libcublas.so.%d", major) }

// driverPlaces returns where libcuda.so.1 may be, in the order in which it is tried. A toolkit has no driver, except for the package
// cuda-compat, which replaces an older one on a data centre's GPUs and fails on others: so that comes last. The libcuda.so in a toolkit's
// folder stubs is for linking and is never tried.
func driverPlaces(getenv func(string) string) ([]place, error) {
	if named := getenv(driverVariable); named != "" {
		return namedPlaces(named, driverVariable, []string{"libcuda.so.1"})
	}
	places := []place{{"libcuda.so.1", "library path"}}
	add := func(from string, folders ...string) {
		places = append(places, existing(from, folders, []string{"libcuda.so.1"})...)
	}
	add("usual folder",
		"/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/lib64", "/usr/lib64/nvidia",
		"/usr/local/nvidia/lib64", // mounted into containers by Kubernetes' device plugin
		"/run/opengl-driver/lib")  // NixOS
	add("WSL", "/usr/lib/wsl/lib")
	for _, variable := range []string{"CUDA_PATH", "CUDA_HOME"} {
		if root := getenv(variable); root != "" {
			add(variable, filepath.Join(root, "compat"))
		}
	}
	add("usual folder", "/usr/local/cuda/compat", "/usr/local/cuda/compat/lib")
	return places, nil
}

// blasPlaces returns where cuBLAS may be, in the order in which it is tried: in each place 13, then 12, then 11. A driver cannot run one that
// is newer than its CUDA: where there is a choice those are left out, and a file is among the places all the same, for the report.
func blasPlaces(getenv func(string) string, driver int) ([]place, error) {
	var names, usable []string
	for major := newestBLAS; major >= oldestBLAS; major-- {
		names = append(names, blasName(major))
		if major <= driver {
			usable = append(usable, blasName(major))
		}
	}
	if named := getenv(blasVariable); named != "" {
		return namedPlaces(named, blasVariable, usable)
	}
	var places []place
	add := func(from string, folders ...string) {
		places = append(places, existing(from, folders, names)...)
	}
	for _, variable := range []string{"CUDA_PATH", "CUDA_HOME"} {
		if root := getenv(variable); root != "" {
			add(variable, toolkit(root)...)
		}
	}
	for _, name := range usable {
		places = append(places, place{name, "library path"})
	}
	add("usual folder", toolkit("/usr/local/cuda")...)
	add("usual folder", toolkit("/usr/local/cuda-*")...)
	add("usual folder", toolkit("/opt/cuda")...)
	add("usual folder", "/usr/lib/x86_64-linux-gnu", "/usr/lib64")
	if root := getenv("CONDA_PREFIX"); root != "" {
		add("CONDA_PREFIX", filepath.Join(root, "lib"), filepath.Join(root, "targets/x86_64-linux/lib"))
	}
	for _, root := range []string{getenv("VIRTUAL_ENV"), getenv("CONDA_PREFIX"), filepath.Join(getenv("HOME"), ".local"), "/usr/local", "/usr", "/opt/*"} {
		if filepath.IsAbs(root) {
			add("Python wheel", wheels(root)...)
		}
	}
	return places, nil
}

// toolkit returns the folders of a CUDA toolkit that hold its libraries.
func toolkit(root string) []string {
	return []string{filepath.Join(root, "lib64"), filepath.Join(root, "targets/x86_64-linux/lib"), filepath.Join(root, "lib")}
}

// wheels returns the folders into which pip, under the given prefix, puts cuBLAS of CUDA 13, and that of 12 and 11. PyTorch brings them.
func wheels(prefix string) (folders []string) {
	for _, packages := range []string{"site-packages", "dist-packages"} {
		for _, library := range []string{"cu13/lib", "cublas/lib"} {
			folders = append(folders, filepath.Join(prefix, "lib/python3*", packages, "nvidia", library))
		}
	}
	return folders
}

// existing returns the files of the given names in folders, which may be patterns: the newest name first, whichever folder has it, and of
// one pattern's folders the last by name.
func existing(from string, folders, names []string) (places []place) {
	for _, name := range names {
		for _, folder := range folders {
			found, _ := filepath.Glob(filepath.Join(folder, name)) // its only error is of a bad pattern
			for i := len(found) - 1; i >= 0; i-- {
				places = append(places, place{found[i], from})
			}
		}
	}
	return places
}

// namedPlaces returns what an environment variable names, and nothing else: a library, or a folder with one of the given names in it.
func namedPlaces(named, variable string, names []string) ([]place, error) {
	info, err := os.Stat(named)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", variable, named, underlying(err))
	}
	if path, err := filepath.Abs(named); err == nil {
		named = path // without a folder in it the dynamic linker would look elsewhere
	}
	if !info.IsDir() {
		return []place{{named, variable}}, nil
	}
	places := existing(variable, []string{named}, names)
	if len(places) == 0 {
		return nil, fmt.Errorf("%s=%s: the folder has no %s", variable, named, strings.Join(names, ", "))
	}
	return places, nil
}

func underlying(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err // the path is in the message already
	}
	return err
}

// tooNew says whether a place has a cuBLAS that is newer than the driver's CUDA.
func tooNew(p place, driver int) bool {
	for major := max(driver, oldestBLAS-1) + 1; major <= newestBLAS; major++ {
		if filepath.Base(p.path) == blasName(major) && p.from != blasVariable {
			return true
		}
	}
	return false
}

// majors names the versions of cuBLAS that a driver runs, as 12 or 11.
func majors(driver int) string {
	var s []string
	for major := min(driver, newestBLAS); major >= oldestBLAS; major-- {
		s = append(s, fmt.Sprint(major))
	}
	return strings.Join(s, " or ")
}

// blasWheel is what pip is asked for the newest cuBLAS that a driver runs. In an active venv (VIRTUAL_ENV) or conda environment blasPlaces finds it.
func blasWheel(driver int) string {
	if major := min(driver, newestBLAS); major < 13 {
		return fmt.Sprintf("nvidia-cublas-cu%d", major)
	}
	return fmt.Sprintf("nvidia-cublas==%d.*", newestBLAS)
}
