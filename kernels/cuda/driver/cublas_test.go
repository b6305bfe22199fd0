//go:build gpu && linux && amd64 && cgo

package driver

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cu/blas calls the library that OpenBLAS found, and is linked: every function that it calls has a stub. The program is no part of the module's
// packages, since cublas_v2.h comes with a whole toolkit only; where that is not, cu/blas is compiled with what its own calls say of it.
func TestCUBLASCallsTheLibrary(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil { // on the machine with the GPU
		t.Skip(err)
	}
	header, program := filepath.Join(t.TempDir(), "cublas_v2.h"), filepath.Join(t.TempDir(), "cublas")
	if err := os.WriteFile(header, cublasHeader(t), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-tags", "gpu", "-o", program, "./testdata/cublas")
	build.Env = append(os.Environ(), "CPATH="+filepath.Dir(header)) // behind the folders of CGO_CFLAGS
	if os.Getenv("CGO_CFLAGS") == "" {
		flags, err := exec.Command("../toolkit", "cflags").Output()
		if err != nil {
			t.Fatalf("../toolkit cflags: %v", err)
		}
		build.Env = append(build.Env, "CGO_CFLAGS="+strings.TrimSpace(string(flags)))
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1"), blasVariable+"="+compile(t, "cublas.c", "libcublas.so.12"))
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "32\n" {
		t.Errorf("%v, printed %q, want 32", err, out)
	}
}

// What cu/blas wants of cublas_v2.h beside functions.
const cublasTypes = `typedef struct cublasContext *cublasHandle_t;
typedef struct { float x, y; } cuComplex;
typedef struct { double x, y; } cuDoubleComplex;
typedef enum { CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C } cublasOperation_t;
typedef enum { CUBLAS_FILL_MODE_LOWER, CUBLAS_FILL_MODE_UPPER } cublasFillMode_t;
typedef enum { CUBLAS_DIAG_NON_UNIT, CUBLAS_DIAG_UNIT } cublasDiagType_t;
typedef enum { CUBLAS_SIDE_LEFT, CUBLAS_SIDE_RIGHT } cublasSideMode_t;
typedef enum {
	CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_INITIALIZED = 1, CUBLAS_STATUS_ALLOC_FAILED = 3, CUBLAS_STATUS_INVALID_VALUE = 7,
	CUBLAS_STATUS_ARCH_MISMATCH = 8, CUBLAS_STATUS_MAPPING_ERROR = 11, CUBLAS_STATUS_EXECUTION_FAILED = 13, CUBLAS_STATUS_INTERNAL_ERROR = 14,
	CUBLAS_STATUS_NOT_SUPPORTED = 15, CUBLAS_STATUS_LICENSE_ERROR = 16,
} cublasStatus_t;
`

// cublasHeader declares each function that cu/blas calls, by the types to which it converts the arguments. As in NVIDIA's header, a plain name
// means the function whose name ends with _v2, where there is one.
func cublasHeader(t *testing.T) []byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-tags", "gpu", "-f", "{{.Dir}}", "gorgonia.org/cu/blas").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{ // of arguments that are no conversions
		"trans2cublasTrans": "cublasOperation_t", "uplo2cublasUplo": "cublasFillMode_t", "diag2cublasDiag": "cublasDiagType_t",
		"side2cublasSide": "cublasSideMode_t", "ret": "int", "handle": "cublasHandle_t", "h": "cublasHandle_t",
	}
	var typeOf func(e ast.Expr) string
	typeOf = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.CallExpr:
			return typeOf(e.Fun)
		case *ast.ParenExpr:
			return typeOf(e.X)
		case *ast.StarExpr:
			return typeOf(e.X) + " *"
		case *ast.UnaryExpr: // &
			return typeOf(e.X) + " *"
		case *ast.SelectorExpr:
			if c, ok := e.X.(*ast.Ident); ok && c.Name == "C" {
				return e.Sel.Name
			}
			return typeOf(e.Sel)
		case *ast.Ident:
			return types[e.Name]
		}
		return ""
	}
	header, declared := bytes.NewBufferString(cublasTypes), map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			function := typeOf(call.Fun)
			if !strings.HasPrefix(function, "cublas") || strings.HasSuffix(function, "_t") || declared[function] {
				return true
			}
			declared[function] = true
			var parameters []string
			for _, a := range call.Args {
				parameters = append(parameters, typeOf(a))
			}
			if newer := function + "_v2"; slices.Contains(cublasSymbols[:], newer) {
				fmt.Fprintf(header, "#define %s %s\n", function, newer)
			}
			fmt.Fprintf(header, "cublasStatus_t %s(%s);\n", function, strings.Join(parameters, ", "))
			return true
		})
	}
	return header.Bytes()
}
