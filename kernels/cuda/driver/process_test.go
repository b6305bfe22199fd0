//go:build gpu && linux && amd64 && cgo

package driver

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gorgonia.org/cu"
)

// A process opens a driver once, so each case is a process of its own: this one again, told by an environment variable what to do.
const role = "NEARFAR_DRIVER_TEST"

var roles = map[string]func() error{
	"inspect":       inspect,
	"unopened":      unopened,
	"devices of cu": devicesOfCU,
	"graph":         useGraph,
	"memory":        useMemory,
	"blas":          useBLAS,
}

// emulator is the driver that the environment names. But for the test of what it has, tests find it named no more.
var emulator = os.Getenv(driverVariable)

func TestMain(m *testing.M) {
	name := os.Getenv(role)
	if name == "" {
		os.Unsetenv(driverVariable)
		os.Unsetenv(blasVariable)
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	if err := roles[name](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// inProcess plays a role with the given variables and no others that the search reads, and returns what it printed.
func inProcess(t *testing.T, name string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	empty := t.TempDir()
	cmd.Env = append([]string{role + "=" + name, "HOME=" + empty, "PATH=" + os.Getenv("PATH")}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, stderr.Bytes())
	}
	return string(out)
}

// compile makes a shared library of a C file in testdata, with the macros given as -DNAME=VALUE, and returns its path.
func compile(t *testing.T, source, library string, macros ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), library)
	cc(t, append([]string{"-shared", "-fPIC", "-O1", "-o", path, filepath.Join("testdata", source)}, macros...)...)
	return path
}

// cc runs what cgo compiled this test with: a command with its options, as "ccache gcc". A machine with a GPU need not have it, nor Go.
func cc(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("go", "env", "CC").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	command := append(strings.Fields(string(out)), args...)
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func wants(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
}

// inspect prints the report, after cu's init.
func inspect() error {
	fmt.Print(Inspect())
	return nil
}

// unopened calls cu before Open: its init has passed, its functions fail, and nothing is loaded.
func unopened() error {
	n, err := cu.NumDevices()
	fmt.Printf("devices %d, %v\n", n, err)
	_, err = cu.MemAlloc(16)
	fmt.Printf("MemAlloc: %v\n", err)
	maps, err := os.ReadFile("/proc/self/maps")
	fmt.Printf("loaded %v\n", bytes.Contains(maps, []byte("libcuda")))
	return err
}

func devicesOfCU() error {
	if err := Open(); err != nil {
		return err
	}
	n, err := cu.NumDevices()
	fmt.Printf("devices %d, %v, version %d\n", n, err, cu.Version())
	dev, err := cu.GetDevice(0)
	if err != nil {
		return err
	}
	name, err := dev.Name()
	fmt.Println(name, err)
	ms, err := cu.Event{}.Elapsed(cu.Event{})
	fmt.Println("elapsed", ms, err)
	_, err = cu.CurrentContext() // not in the driver
	fmt.Println("missing:", err)
	return nil
}

func TestNeedsLibcOnly(t *testing.T) {
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	needed, err := self.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, lib := range needed {
		switch lib {
		case "libc.so.6", "libdl.so.2", "libpthread.so.0", "libresolv.so.2", "ld-linux-x86-64.so.2":
		default:
			t.Errorf("the test's own binary needs %s", lib)
		}
	}
	for _, section := range self.Progs {
		if section.Type == elf.PT_GNU_STACK && section.Flags&elf.PF_X != 0 {
			t.Error("its stack is executable: an object without .note.GNU-stack")
		}
	}
	exported, err := self.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range exported {
		if s.Name == "cuInit" || s.Name == "cublasCreate_v2" {
			t.Errorf("%s is exported: a library that is loaded would call it instead of its own", s.Name)
		}
	}
}

func TestUnopened(t *testing.T) {
	fake := compile(t, "cuda.c", "libcuda.so.1")
	wants(t, inProcess(t, "unopened", driverVariable+"="+fake), "devices 0, <nil>", "MemAlloc: NotInitialized", "loaded false")
}

func TestWithoutDriver(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "libcuda.so.1")
	got := inProcess(t, "inspect", driverVariable+"="+missing)
	wants(t, got, "libcuda: "+driverVariable+"="+missing+": no such file or directory\n", "no GPU is used: ", "libcublas: not looked for without a driver\n", "kernel module: ")

	got = inProcess(t, "inspect", driverVariable+"="+filepath.Dir(missing))
	wants(t, got, "the folder has no libcuda.so.1")

	text := filepath.Join(t.TempDir(), "libcuda.so.1")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, inProcess(t, "inspect", driverVariable+"="+text), driverVariable+"="+text+": file too short")

	if Open() == nil {
		t.Skip("this machine has a driver")
	}
	wants(t, inProcess(t, "inspect"), "libcuda: no libcuda.so.1: NVIDIA's driver is not installed",
		"tried libcuda.so.1 (library path): cannot open shared object file")
}

func TestDrivers(t *testing.T) {
	cublas := compile(t, "cublas.c", "libcublas.so.12")
	for _, c := range []struct {
		name   string
		macros []string
		env    []string
		want   []string
	}{
		{"no devices", []string{"-DCOUNT=0"}, nil, []string{"version 12.4", "in use", "no GPU is used: the driver (", ") shows no GPU\n"}},
		{"hidden devices", []string{"-DCOUNT=0"}, []string{"CUDA_VISIBLE_DEVICES="}, []string{`no GPU is used: the driver shows no GPU: CUDA_VISIBLE_DEVICES is ""`}},
		{"one device", nil, nil, []string{"GPU 0 (Fake GPU), compute capability 8.0, 16.0 GiB\n", "  lacks cuArray3DCreate_v2, ", " more functions\n"}},
		{"an old device", []string{"-DMAJOR=3"}, nil, []string{
			"GPU 0 (Fake GPU), compute capability 3.0, 16.0 GiB: too old: ",
			"no GPU is used: no GPU that can be used: GPU 0 (Fake GPU): too old: its compute capability is 3.0, the kernels need 7.0\n"}},
		{"a device that does not answer", []string{"-DMUTE"}, nil, []string{
			"\nGPU 0: cuDeviceTotalMem: CUDA_ERROR_UNKNOWN (999)",
			"no GPU is used: no GPU that can be used: GPU 0: cuDeviceTotalMem: CUDA_ERROR_UNKNOWN (999)"}},
		{"no device by cuInit", []string{"-DINIT=100"}, nil, []string{"cuInit: CUDA_ERROR_NO_DEVICE (100): the driver finds no GPU"}},
		{"a stub", []string{"-DINIT=34"}, nil, []string{"cuInit: CUDA_ERROR_STUB_LIBRARY (34): "}},
		{"a module of another version", []string{"-DINIT=803"}, nil, []string{"cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): "}},
		{"an error that only it knows", []string{"-DINIT=12345"}, nil, []string{"cuInit: CUDA_ERROR_OF_THE_FUTURE (12345)\n"}},
		{"an old driver", []string{"-DVERSION=10020"}, nil, []string{"driver too old: it is of CUDA 10.2, nearfar needs 11.4 or newer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := compile(t, "cuda.c", "libcuda.so.1", c.macros...)
			got := inProcess(t, "inspect", append(c.env, driverVariable+"="+fake, blasVariable+"="+cublas)...)
			wants(t, got, c.want...)
			if c.name != "one device" {
				wants(t, got, "no GPU is used: ")
			} else if strings.Contains(got, "no GPU is used") {
				t.Error(got)
			}
		})
	}
}

// The dynamic linker's own path, and a folder; a driver that does not initialise gives way to one that does.
func TestDriverOfLibraryPath(t *testing.T) {
	good, bad := compile(t, "cuda.c", "libcuda.so.1"), compile(t, "cuda.c", "libcuda.so.1", "-DINIT=100")
	wants(t, inProcess(t, "inspect", "LD_LIBRARY_PATH="+filepath.Dir(good)), "libcuda: "+good, "tried libcuda.so.1 (library path): in use")
	wants(t, inProcess(t, "inspect", driverVariable+"="+filepath.Dir(good)), "libcuda: "+good, "("+driverVariable+"): in use")

	root := t.TempDir()
	compat := filepath.Join(root, "compat", "libcuda.so.1")
	if err := os.MkdirAll(filepath.Dir(compat), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(good, compat); err != nil {
		t.Fatal(err)
	}
	got := inProcess(t, "inspect", "LD_LIBRARY_PATH="+filepath.Dir(bad), "CUDA_PATH="+root)
	if Open() == nil {
		t.Skip("this machine has a driver, which comes first")
	}
	wants(t, got, "tried libcuda.so.1 (library path): cuInit: CUDA_ERROR_NO_DEVICE", "tried "+compat+" (CUDA_PATH): in use", "GPU 0 (Fake GPU)")
}

func TestCUCallsTheDriver(t *testing.T) {
	wants(t, inProcess(t, "devices of cu", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1")),
		"devices 1, <nil>, version 12040\n", "Fake GPU <nil>\n", "elapsed 2.5 <nil>\n", "missing: NotFound\n")
	wants(t, inProcess(t, "devices of cu", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1", "-DOLD")), "elapsed 1.5 <nil>\n")
}
