package dataset

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nearfar/kernels"
)

// npyFile is a .npy file as numpy.save writes it: version 1 is padded to 64 bytes.
func npyFile(version byte, header string, numbers []byte) string {
	var b bytes.Buffer
	b.WriteString(npyMagic)
	b.Write([]byte{version, 0})
	size := 2
	if version > 1 {
		size = 4
	}
	header += strings.Repeat(" ", 63-(b.Len()+size+len(header))%64) + "\n"
	var length [4]byte
	binary.LittleEndian.PutUint32(length[:], uint32(len(header)))
	b.Write(length[:size])
	b.WriteString(header)
	b.Write(numbers)
	return b.String()
}

// matrix is a .npy file of a matrix, whose number at row r and column c is value(r, c).
func matrix(descr string, fortran bool, rows, columns int, value func(r, c int) float64) string {
	var order binary.AppendByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		order = binary.BigEndian
	}
	var numbers []byte
	for k := range rows * columns {
		r, c := k/columns, k%columns
		if fortran {
			r, c = k%rows, k/rows
		}
		switch x := value(r, c); descr[1:] {
		case "f2":
			numbers = order.AppendUint16(numbers, kernels.ToHalf(float32(x)))
		case "f4":
			numbers = order.AppendUint32(numbers, math.Float32bits(float32(x)))
		default:
			numbers = order.AppendUint64(numbers, math.Float64bits(x))
		}
	}
	return npyFile(1, npyDict(descr, fortran, rows, columns), numbers)
}

func npyDict(descr string, fortran bool, rows, columns int) string {
	order := "False"
	if fortran {
		order = "True"
	}
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%d, %d), }", descr, order, rows, columns)
}

// multiples is exact in every type.
func multiples(r, c int) float64 { return float64(r) + float64(c)/8 }

// readNPY reads a file of this content with all its rows in their places.
func readNPY(t testing.TB, content string) (npyMatrix, []float32, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image_feat.npy")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := fileAt(path).npy()
	if err != nil {
		return m, nil, err
	}
	value, err := m.read(t.Context(), inAppearance(m.rows), m.rows, nil)
	return m, value, err
}

// TestNPYOfNumpy reads what numpy 2.4.6 wrote by lib.format.write_array of [[1, -2.5], [.125, 65504], [3, 2**-24]].
func TestNPYOfNumpy(t *testing.T) {
	for name, content := range map[string]string{
		"float32, version 1": "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }" + strings.Repeat(" ", 58) +
			"\n\x00\x00\x80?\x00\x00 \xc0\x00\x00\x00>\x00\xe0\x7fG\x00\x00@@\x00\x00\x803",
		"float64, big-endian, by columns, version 2": "\x93NUMPY\x02\x00t\x00\x00\x00{'descr': '>f8', 'fortran_order': True, 'shape': (3, 2), }" + strings.Repeat(" ", 57) +
			"\n?\xf0\x00\x00\x00\x00\x00\x00?\xc0\x00\x00\x00\x00\x00\x00@\x08\x00\x00\x00\x00\x00\x00\xc0\x04\x00\x00\x00\x00\x00\x00@\xef\xfc\x00\x00\x00\x00\x00>p\x00\x00\x00\x00\x00\x00",
		"float16, version 3": "\x93NUMPY\x03\x00t\x00\x00\x00{'descr': '<f2', 'fortran_order': False, 'shape': (3, 2), }" + strings.Repeat(" ", 56) +
			"\n\x00<\x00\xc1\x000\xff{\x00B\x01\x00",
	} {
		m, value, err := readNPY(t, content)
		if want := []float32{1, -2.5, .125, 65504, 3, 0x1p-24}; err != nil || m.rows != 3 || m.columns != 2 || !slices.Equal(value, want) {
			t.Errorf("%s: %d x %d, %v (%v), want %v", name, m.rows, m.columns, value, err, want)
		}
	}
}

// TestNPYTypes reads every type in every order: float64 in two blocks, the second of which is not full.
func TestNPYTypes(t *testing.T) {
	const rows, columns = 1100, 601
	for _, descr := range []string{"<f2", ">f2", "<f4", ">f4", "<f8", ">f8"} {
		for _, fortran := range []bool{false, true} {
			m, value, err := readNPY(t, matrix(descr, fortran, rows, columns, multiples))
			if err != nil {
				t.Fatal(err)
			}
			if m.kind() != "float"+map[byte]string{'2': "16", '4': "32", '8': "64"}[descr[2]] || m.rows != rows || m.columns != columns {
				t.Errorf("%s: %s, %d x %d", descr, m.kind(), m.rows, m.columns)
			}
			for k, x := range value {
				want := multiples(k/columns, k%columns)
				if m.size == 2 {
					want = float64(kernels.FromHalf(kernels.ToHalf(float32(want))))
				}
				if float64(x) != want {
					t.Fatalf("%s, by columns %v: row %d, column %d is %g, want %g", descr, fortran, k/columns, k%columns, x, want)
				}
			}
		}
	}
}

// A line that is longer than a block is a block.
func TestNPYLongLines(t *testing.T) {
	for _, fortran := range []bool{false, true} {
		rows, columns := 2, 4*blockSize/8+1
		if fortran {
			rows, columns = columns, rows
		}
		_, value, err := readNPY(t, matrix("<f8", fortran, rows, columns, multiples))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []int{0, 1, columns - 1, columns, len(value) - 1} {
			if want := float32(multiples(k/columns, k%columns)); value[k] != want {
				t.Errorf("by columns %v: number %d is %g, want %g", fortran, k, value[k], want)
			}
		}
	}
}

// A header is a dict as Python writes it, whatever the order of its keys.
func TestNPYHeaders(t *testing.T) {
	for _, header := range []string{
		`{"shape": (2, 3), "descr": "<f4", "fortran_order": False}`,
		"{ 'fortran_order' :False,'descr':'<f4','shape':(2L,3L,) , }",
	} {
		if m, _, err := readNPY(t, npyFile(1, header, make([]byte, 24))); err != nil || m.rows != 2 || m.columns != 3 {
			t.Errorf("%s: %d x %d, %v", header, m.rows, m.columns, err)
		}
	}
}

func TestNPYErrors(t *testing.T) {
	good := matrix("<f4", false, 2, 3, multiples)
	dict := func(descr, order, shape string) string {
		return npyFile(1, fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }", descr, order, shape), make([]byte, 24))
	}
	at := func(x float64, descr string) string {
		return matrix(descr, true, 20, 5, func(r, c int) float64 {
			if r == 17 && c == 3 {
				return x
			}
			return 1
		})
	}
	const type4 = "'<f4'"
	for _, c := range []struct{ name, content, want string }{
		{"empty", "", `not a .npy file, since it begins with ""`},
		{"a pickle", "\x80\x04\x95\x00\x00\x00", "numpy.save(path, array) writes one"},
		{"magic cut off", good[:5], "not a .npy file"},
		{"version cut off", good[:7], "its header is cut off"},
		{"length cut off", good[:9], "its header is cut off"},
		{"header cut off", good[:50], "its header is cut off"},
		{"version 4", strings.Replace(good, "\x01\x00", "\x04\x00", 1), "version 4.0 of .npy is not known"},
		{"version 1.1", strings.Replace(good, "\x01\x00", "\x01\x01", 1), "version 1.1 of .npy is not known"},
		{"a header of 4 GB", npyMagic + "\x02\x00\xff\xff\xff\xff{}", "its header says that it has 4294967295 bytes"},
		{"no dict", npyFile(1, "('<f4', False, (2, 3))", nil), "a dict of descr, fortran_order and shape is wanted"},
		{"an open dict", npyFile(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", nil), "a dict of"},
		{"an empty dict", npyFile(1, "{}", nil), "a dict of"},
		{"no shape", npyFile(1, "{'descr': '<f4', 'fortran_order': False, }", nil), "a dict of"},
		{"a key twice", npyFile(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", nil), "a dict of"},
		{"another key", npyFile(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': True, }", nil), "a dict of"},
		{"code", npyFile(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and exit()", nil), "a dict of"},
		{"order", dict(type4, "'x'", "(2, 3)"), "a dict of"},
		{"objects", dict("'|O'", "False", "(2, 3)"), "its numbers are of the type \"'|O'\", and float16, float32 and float64 are read"},
		{"integers", dict("'<i8'", "False", "(2, 3)"), "numpy.save(path, array.astype('float32')) writes it so"},
		{"complex", dict("'<c8'", "False", "(2, 3)"), "are of the type"},
		{"records", dict("[('x', '<f4'), ('y', '<f4')]", "False", "(2, 3)"), "are of the type"},
		{"float128", dict("'<f16'", "False", "(2, 3)"), "are of the type"},
		{"no dimension", dict(type4, "False", "()"), "a matrix is wanted"},
		{"one dimension", dict(type4, "False", "(6,)"), `its shape is "(6,)", and a matrix is wanted: a row for each item`},
		{"three dimensions", dict(type4, "False", "(1, 2, 3)"), "a matrix is wanted"},
		{"a negative dimension", dict(type4, "False", "(-2, -3)"), "a dict of"},
		{"no rows", dict(type4, "False", "(0, 3)"), "has no numbers"},
		{"no columns", dict(type4, "False", "(2, 0)"), "has no numbers"},
		{"a product that overflows", dict(type4, "False", "(4294967296, 4294967296)"), "more numbers than can be addressed"},
		{"a product that overflows to the size", dict(type4, "False", "(9223372036854775811, 2)"), "more numbers than can be addressed"},
		{"a dimension that overflows", dict(type4, "False", "(18446744073709551618, 3)"), "more numbers than can be addressed"},
		{"cut off", good[:len(good)-1], "it is cut off: 2 x 3 numbers of float32 take 24 bytes, and behind its header are 23"},
		{"a shape that is too large", dict(type4, "False", "(1000000000, 1000)"), "it is cut off"},
		{"more", good + "\x00", "it has more than its header says"},
		{"NaN", at(math.NaN(), "<f2"), "row 17 (item 17), column 3 is NaN: put a finite number in its place"},
		{"infinite", at(math.Inf(-1), ">f8"), "row 17 (item 17), column 3 is infinite: put"},
		{"overflows", at(-1e39, "<f8"), "row 17 (item 17), column 3 is -1e+39, which float32 does not have: scale the features down"},
	} {
		_, _, err := readNPY(t, c.content)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "image_feat.npy: ") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// Rows go where they are wanted, and the numbers of others may be anything.
func TestNPYPlaces(t *testing.T) {
	content := matrix(">f8", true, 4, 2, func(r, c int) float64 {
		if r == 1 {
			return math.NaN()
		}
		return multiples(r, c)
	})
	path := filepath.Join(t.TempDir(), "x.npy")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := fileAt(path).npy()
	if err != nil {
		t.Fatal(err)
	}
	value, err := m.read(t.Context(), []int32{1, -1, -1, 0}, 2, nil)
	if want := []float32{3, 3.125, 0, .125}; err != nil || !slices.Equal(value, want) {
		t.Errorf("%v (%v), want %v", value, err, want)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := m.read(ended, []int32{1, -1, -1, 0}, 2, nil); err != context.Canceled {
		t.Errorf("after the end: %v", err)
	}
	if err := os.WriteFile(path, []byte(content[:len(content)-8]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.read(t.Context(), []int32{1, -1, -1, 0}, 2, nil); err == nil || !strings.Contains(err.Error(), path+": it is cut off") {
		t.Errorf("a file that has become shorter: %v", err)
	}
}

// A file is not held in memory beside what is made of it, whatever its order.
func TestNPYMemory(t *testing.T) {
	const rows, columns = 4000, 500
	path := filepath.Join(t.TempDir(), "x.npy")
	if err := os.WriteFile(path, []byte(matrix("<f8", true, rows, columns, multiples)), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := fileAt(path).npy()
	if err != nil {
		t.Fatal(err)
	}
	place := inAppearance(rows)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := m.read(t.Context(), place, rows, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4*rows*columns+5*blockSize {
		t.Errorf("%d bytes for a matrix of %d", took, 4*rows*columns)
	}
}
