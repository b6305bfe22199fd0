package cuda

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A checkout is a folder with the script toolkit in it, and a PATH of its own.
type checkout struct {
	t         *testing.T
	root, bin string
}

// newCheckout has these commands in its PATH and no others.
func newCheckout(t *testing.T, commands ...string) *checkout {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	script, err := os.ReadFile("toolkit")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	c := &checkout{t, root, filepath.Join(root, "bin")}
	c.write("kernels/cuda/toolkit", string(script))
	for _, name := range commands {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		if path, err = filepath.Abs(path); err != nil {
			t.Fatal(err)
		}
		c.write("bin/"+name, "#!/bin/sh\nexec "+path+` "$@"`+"\n")
	}
	return c
}

// write makes an executable file.
func (c *checkout) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		c.t.Fatal(err)
	}
}

// toolkit runs the script.
func (c *checkout) toolkit(env []string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command("/bin/sh", append([]string{filepath.Join(c.root, "kernels/cuda/toolkit")}, args...)...)
	cmd.Env = append(env, "PATH="+c.bin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// A toolkit that is too old is passed over, and it is said.
func TestToolkitIsNewEnough(t *testing.T) {
	c := newCheckout(t, "dirname", "sed", "sort")
	c.write("old/include/cuda.h", "#define CUDA_VERSION 11050\n")
	c.write("oldest that will do/include/cuda.h", "#define CUDA_VERSION 11080\n")
	old, good := filepath.Join(c.root, "old"), filepath.Join(c.root, "oldest that will do")
	out, said, err := c.toolkit([]string{"CUDA_PATH=" + old, "CUDA_HOME=" + good}, "root")
	if want := "kernels/cuda/toolkit: " + old + " has CUDA 11.5, older than 11.8, looking elsewhere\n"; err != nil || out != good+"\n" || said != want {
		t.Errorf("%v, printed %q, said %q; want %q", err, out, said, want)
	}
}

// Where fetch cannot fetch, it says what to do.
func TestToolkitFetchSaysWhatIsMissing(t *testing.T) {
	c := newCheckout(t, "dirname", "sed", "sort", "mktemp", "rm", "mkdir", "tail")
	refused := func(release, want string) {
		t.Helper()
		if _, said, err := c.toolkit(nil, "fetch", release); err == nil || !strings.HasSuffix(said, want+"\n") || strings.Count(said, "\n") != 1 {
			t.Errorf("fetch %s: %v, said %q, want %q", release, err, said, want)
		}
	}
	refused("", "install python3-pip, or install CUDA and set CUDA_PATH")
	refused("11.8", "no apt-get here: install CUDA 11.8 and set CUDA_PATH, or run this on Debian 12")
	c.write("bin/apt-get", "#!/bin/sh\necho E: no such version\nexit 100\n")
	c.write("bin/dpkg", "#!/bin/sh\n")
	refused("11.8", "(E: no such version): install CUDA 11.8 and set CUDA_PATH, or run this on Debian 12")
}

// The pip of Ubuntu 22.04 is 22.0.
func TestToolkitFetchesWithAnOldPip(t *testing.T) {
	c := newCheckout(t, "dirname", "sed", "sort", "mkdir")
	c.write("bin/python3", `#!/bin/sh
for arg in "$@"; do
	[ "$arg" != --root-user-action ] || { echo "no such option: $arg"; exit 2; }
	[ "$last" != --target ] || folder=$arg
	last=$arg
done
[ -n "$folder" ] || exit 0
mkdir -p "$folder/nvidia/cu13/include" && echo "#define CUDA_VERSION 13050" >"$folder/nvidia/cu13/include/cuda.h"
`)
	if out, said, err := c.toolkit(nil, "fetch"); err != nil || !strings.HasPrefix(out, "CUDA 13.5 in ") {
		t.Errorf("%v, printed %q, said %q", err, out, said)
	}
}

// There are flags for the platform of the device alone: with those of another, go build would leave the device out.
func TestToolkitIsForLinuxOnAMD64(t *testing.T) {
	c := newCheckout(t, "dirname", "sed", "sort")
	c.write("bin/go", "#!/bin/sh\n[ $2 = GOOS ] && echo linux || echo $ARCHITECTURE\n")
	c.write("cuda/include/cuda.h", "#define CUDA_VERSION 13000\n")
	cuda := "CUDA_PATH=" + filepath.Join(c.root, "cuda")
	if out, said, err := c.toolkit([]string{cuda, "ARCHITECTURE=amd64"}, "cflags"); err != nil || !strings.Contains(out, "/cuda/include'") {
		t.Errorf("%v, printed %q, said %q", err, out, said)
	}
	out, said, err := c.toolkit([]string{cuda, "ARCHITECTURE=arm64"}, "cflags")
	if err == nil || out != "" || !strings.Contains(said, "the CUDA device is for linux/amd64, and go builds for linux/arm64") {
		t.Errorf("%v, printed %q, said %q", err, out, said)
	}
}
