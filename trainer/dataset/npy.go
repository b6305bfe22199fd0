package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"

	"nearfar/kernels"
)

// npyMatrix is a .npy file of a matrix of floating-point numbers, as its header describes it (numpy/lib/format.py): versions 1, 2 and 3, float16, float32
// and float64 of either byte order, in C's or Fortran's order.
type npyMatrix struct {
	source
	rows, columns int
	size          int // bytes of a number
	order         binary.ByteOrder
	fortran       bool  // column after column, else row after row
	at            int64 // the place of the first number
}

// kind is the name of the numbers' type.
func (m *npyMatrix) kind() string { return fmt.Sprintf("float%d", 8*m.size) }

const (
	npyMagic = "\x93NUMPY"
	// mostNPYHeader is what a header of version 1 can have; one of a matrix has about 100 bytes.
	mostNPYHeader = 1<<16 - 1
)

// npy reads the header of a .npy file and holds the file's size against it.
func (s source) npy() (m npyMatrix, err error) {
	f, size, err := s.open()
	if err != nil {
		return m, err
	}
	defer f.Close()
	header, at, err := npyHeader(f)
	if err == nil {
		m, err = npyShape(header)
	}
	if m.source, m.at = s, at; err == nil {
		err = m.fits(size)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w", s.shown, err)
	}
	return m, nil
}

// npyHeader reads the header's text, and says where the numbers begin: behind the magic number, two bytes of a version, the header's length in 2 bytes or,
// since version 2, in 4, and the header.
func npyHeader(r io.Reader) (header string, at int64, err error) {
	cut := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("its header is cut off; copy the file again")
		}
		return err
	}
	start := make([]byte, len(npyMagic)+2)
	if n, err := io.ReadFull(r, start); string(start[:min(n, len(npyMagic))]) != npyMagic {
		return "", 0, fmt.Errorf("not a .npy file, since it begins with %q and not with %q; numpy.save(path, array) writes one", start[:min(n, len(npyMagic))], npyMagic)
	} else if err != nil {
		return "", 0, cut(err)
	}
	length := make([]byte, 4)
	switch version := [2]byte(start[len(npyMagic):]); version {
	case [2]byte{1, 0}:
		_, err = io.ReadFull(r, length[:2])
		at = int64(len(start)) + 2
	case [2]byte{2, 0}, [2]byte{3, 0}:
		_, err = io.ReadFull(r, length)
		at = int64(len(start)) + 4
	default:
		return "", 0, fmt.Errorf("version %d.%d of .npy is not known: 1.0, 2.0 and 3.0 are read", version[0], version[1])
	}
	if err != nil {
		return "", 0, cut(err)
	}
	n := binary.LittleEndian.Uint32(length)
	if n > mostNPYHeader {
		return "", 0, fmt.Errorf("its header says that it has %d bytes, and that of a matrix has about 100", n)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(r, text)
	return string(text), at + int64(n), cut(err)
}

var (
	// npyEntry is an entry of a header, which is a dict as Python writes it: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }.
	npyEntry = regexp.MustCompile(`(?s)^\s*['"](\w+)['"]\s*:\s*('[^']*'|"[^"]*"|True|False|\([^()]*\)|\[.*\])\s*(?:,\s*|$)`)
	npyType  = regexp.MustCompile(`^['"]([<>])f([248])['"]$`)
)

// npyShape reads a header.
func npyShape(header string) (m npyMatrix, err error) {
	malformed := fmt.Errorf("its header is %s, and a dict of descr, fortran_order and shape is wanted", quoted(header))
	text := strings.TrimSpace(header)
	text, opens := strings.CutPrefix(text, "{")
	text, closes := strings.CutSuffix(text, "}")
	if !opens || !closes {
		return m, malformed
	}
	entries := map[string]string{}
	for text = strings.TrimSpace(text); text != ""; {
		entry := npyEntry.FindStringSubmatch(text)
		if entry == nil || entries[entry[1]] != "" {
			return m, malformed
		}
		entries[entry[1]], text = entry[2], text[len(entry[0]):]
	}
	descr, order, shape := entries["descr"], entries["fortran_order"], entries["shape"]
	if len(entries) != 3 || descr == "" || order != "True" && order != "False" || !strings.HasPrefix(shape, "(") {
		return m, malformed
	}
	m.fortran = order == "True"

	of := npyType.FindStringSubmatch(descr)
	if of == nil {
		return m, fmt.Errorf("its numbers are of the type %s, and float16, float32 and float64 are read: numpy.save(path, array.astype('float32')) writes it so", quoted(descr))
	}
	m.size, m.order = int(of[2][0]-'0'), binary.LittleEndian
	if of[1] == ">" {
		m.order = binary.BigEndian
	}

	dimensions := strings.Split(strings.Trim(shape, "()"), ",")
	if strings.TrimSpace(dimensions[len(dimensions)-1]) == "" { // (3,) has one
		dimensions = dimensions[:len(dimensions)-1]
	}
	if len(dimensions) != 2 {
		return m, fmt.Errorf("its shape is %s, and a matrix is wanted: a row for each item, a column for each feature", quoted(shape))
	}
	product := uint64(m.size)
	for k, to := range []*int{&m.rows, &m.columns} {
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(dimensions[k]), "L"), 10, 64) // Python 2 wrote long integers as 3L
		over, bytes := bits.Mul64(product, n)
		switch {
		case err != nil && !errors.Is(err, strconv.ErrRange):
			return m, malformed
		case err != nil || over > 0 || bytes > math.MaxInt/4: // what is read may have twice as many, and is counted in int
			return m, fmt.Errorf("its shape %s is of more numbers than can be addressed", quoted(shape))
		case n == 0:
			return m, fmt.Errorf("its shape %s has no numbers", quoted(shape))
		}
		product, *to = bytes, int(n)
	}
	return m, nil
}

// fits holds the size of the file against its shape.
func (m *npyMatrix) fits(size int64) error {
	is := size - m.at
	want := int64(m.rows) * int64(m.columns) * int64(m.size)
	says := fmt.Sprintf("%d x %d numbers of %s take %d bytes, and behind its header are %d", m.rows, m.columns, m.kind(), want, is)
	switch {
	case is < want:
		return fmt.Errorf("it is cut off: %s; copy the file again", says)
	case is > want:
		return fmt.Errorf("it has more than its header says: %s", says)
	}
	return nil
}

// read gives a matrix of n rows in float32, [n, columns]: row r of the file becomes row place[r], or none where that is negative. Beside it, it takes a block
// of 4 MB, or one line of the file where that is longer. A number that float32 does not have is an error: NaN, an infinite one, or one that overflows.
func (m *npyMatrix) read(ctx context.Context, place []int32, n int, watch watch) ([]float32, error) {
	f, size, err := m.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := m.fits(size); err != nil { // it has changed since
		return nil, fmt.Errorf("%s: %w", m.shown, err)
	}
	if _, err := io.CopyN(io.Discard, f, m.at); err != nil {
		return nil, m.failed(err)
	}
	lines, length := m.rows, m.columns
	if m.fortran {
		lines, length = m.columns, m.rows
	}
	some := min(lines, max(1, 4*blockSize/(length*m.size))) // lines of a block
	block := make([]byte, some*length*m.size)
	value := make([]float32, n*m.columns)
	for first := 0; first < lines; first += some {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		last := min(first+some, lines)
		if _, err := io.ReadFull(f, block[:(last-first)*length*m.size]); err != nil {
			return nil, m.failed(err)
		}
		if err := m.convert(block, first, last, place, value); err != nil {
			return nil, err
		}
		if watch != nil {
			watch(m.shown, m.at+int64(last)*int64(length*m.size), size)
		}
	}
	return value, nil
}

// convert puts the lines of a block, first and on below last, in their places. Whatever the order of the file, it goes row by row: what lies in one row of the
// result is near in memory, and rows of 4,096 columns are pages apart.
func (m *npyMatrix) convert(block []byte, first, last int, place []int32, value []float32) error {
	number := m.decoder()
	rows, columns := [2]int{first, last}, [2]int{0, m.columns}
	nextRow, nextColumn := m.columns*m.size, m.size
	if m.fortran {
		rows, columns = [2]int{0, m.rows}, [2]int{first, last}
		nextRow, nextColumn = m.size, m.rows*m.size
	}
	for row := rows[0]; row < rows[1]; row++ {
		if place[row] < 0 {
			continue
		}
		to := value[int(place[row])*m.columns:]
		from := (row - rows[0]) * nextRow
		for column := columns[0]; column < columns[1]; column++ {
			x := number(block[from:])
			v := float32(x)
			if v-v != 0 {
				return m.notFinite(row, column, x)
			}
			to[column] = v
			from += nextColumn
		}
	}
	return nil
}

// decoder reads the number at the beginning of b.
func (m *npyMatrix) decoder() func(b []byte) float64 {
	order := m.order
	switch m.size {
	case 2:
		return func(b []byte) float64 { return float64(kernels.FromHalf(order.Uint16(b))) }
	case 4:
		return func(b []byte) float64 { return float64(math.Float32frombits(order.Uint32(b))) }
	}
	return func(b []byte) float64 { return math.Float64frombits(order.Uint64(b)) }
}

// notFinite is the error of a number that float32 does not have.
func (m *npyMatrix) notFinite(row, column int, x float64) error {
	what := "NaN"
	switch {
	case math.IsInf(x, 0):
		what = "infinite"
	case !math.IsNaN(x):
		return fmt.Errorf("%s: row %d (item %d), column %d is %g, which float32 does not have: scale the features down", m.shown, row, row, column, x)
	}
	return fmt.Errorf("%s: row %d (item %d), column %d is %s: put a finite number in its place, 0 or the mean of the column", m.shown, row, row, column, what)
}
