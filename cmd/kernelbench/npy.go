package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"nearfar/kernels"
)

// The .npy format, version 1.0: a magic number, the length of a header, the header as a Python literal padded to 64 bytes, the numbers.
const npyMagic = "\x93NUMPY\x01\x00"

// writeNPY writes a tensor for numpy.load.
func writeNPY(path string, t tensor) error {
	kind := "<f4"
	if t.I32 != nil {
		kind = "<i4"
	}
	shape := ""
	for _, n := range t.Desc.Shape() {
		shape += fmt.Sprintf("%d,", n)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", kind, shape)
	header += strings.Repeat(" ", 63-(len(npyMagic)+2+len(header))%64) + "\n"
	var b bytes.Buffer
	b.WriteString(npyMagic)
	binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	b.Write(bytesOf(t))
	return os.WriteFile(path, b.Bytes(), 0o666)
}

var npyHeader = regexp.MustCompile(`^\{'descr': '(<f4|<i4)', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \}\s*$`)

// readNPY reads what a peer has saved.
func readNPY(path string) (t tensor, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	if len(b) < len(npyMagic)+2 || string(b[:len(npyMagic)]) != npyMagic {
		return t, fmt.Errorf("%s is not a .npy file of version 1.0", path)
	}
	at := len(npyMagic) + 2
	end := at + int(binary.LittleEndian.Uint16(b[at-2:]))
	if end > len(b) {
		return t, fmt.Errorf("%s is cut off", path)
	}
	m := npyHeader.FindSubmatch(b[at:end])
	if m == nil {
		return t, fmt.Errorf("%s has %q: want float32 or int32, in C's order", path, b[at:end])
	}
	var dims []int
	for _, s := range strings.FieldsFunc(string(m[2]), func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return t, err
		}
		dims = append(dims, n)
	}
	if len(dims) > kernels.MaxRank {
		return t, fmt.Errorf("%s has %d dimensions", path, len(dims))
	}
	kind := kernels.Float32
	if string(m[1]) == "<i4" {
		kind = kernels.Int32
	}
	t = blank(kernels.Of(kind, dims...))
	if copy(bytesOf(t), b[end:]) != len(bytesOf(t)) {
		return t, fmt.Errorf("%s is cut off", path)
	}
	return t, nil
}
