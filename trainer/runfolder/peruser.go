package runfolder

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// PerUser is what a run measured on each user of the test split, for paired comparisons of runs. All slices have one element a user, in
// the order of the data's users; users without a test item are not among them.
type PerUser struct {
	User    []string
	Targets []int // test items
	Degree  []int // training interactions
	Metric  []string
	Value   [][]float64 // Value[m][u] is Metric[m] of User[u]
}

// fixed are the columns before the metrics.
func fixed() []string { return []string{"user", "targets", "degree"} }

// WritePerUser writes per-user.tsv.gz, a gzipped table: a line of names, then a line a user, columns separated by tabs. Numbers have all their digits; ids are
// written as by WriteIDs, and one with a tab as a JSON string.
func (f *Folder) WritePerUser(p *PerUser) error {
	if len(p.Targets) != len(p.User) || len(p.Degree) != len(p.User) || len(p.Value) != len(p.Metric) ||
		slices.ContainsFunc(p.Value, func(v []float64) bool { return len(v) != len(p.User) }) {
		return inFile(f.File(PerUserFile), errors.New("the columns have different lengths"))
	}
	return f.replace(PerUserFile, func(w io.Writer) error {
		packed := gzip.NewWriter(w)
		out := bufio.NewWriter(packed)
		fmt.Fprintln(out, strings.Join(append(fixed(), p.Metric...), "\t"))
		var line []byte
		for u, id := range p.User {
			text, err := idLine(u, id)
			if err != nil {
				return err
			}
			line = append(append(line[:0], text...), '\t')
			line = append(strconv.AppendInt(line, int64(p.Targets[u]), 10), '\t')
			line = strconv.AppendInt(line, int64(p.Degree[u]), 10)
			for _, v := range p.Value {
				line = strconv.AppendFloat(append(line, '\t'), v[u], 'g', -1, 64)
			}
			out.Write(append(line, '\n'))
		}
		return errors.Join(out.Flush(), packed.Close())
	}, nil)
}

// ReadPerUser reads what WritePerUser wrote. What is wrong with a line is an error with its number.
func ReadPerUser(path string) (*PerUser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("per-user metrics: %w", err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, unpacking(path, err)
	}
	in := bufio.NewReader(packed)
	p := &PerUser{}
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" && n > 1 {
			return p, nil
		}
		if err != nil {
			return nil, unpacking(path, err)
		}
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if n == 1 {
			if len(cells) < len(fixed()) || !slices.Equal(cells[:len(fixed())], fixed()) {
				return nil, &FileError{path, ErrFormat, fmt.Sprintf("its first columns are not %s", strings.Join(fixed(), ", "))}
			}
			p.Metric = cells[len(fixed()):]
			p.Value = make([][]float64, len(p.Metric))
			continue
		}
		if err := p.add(cells); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
}

// unpacking is the error of a file that gzip cannot read to its end.
func unpacking(path string, err error) error {
	switch {
	case errors.Is(err, gzip.ErrHeader):
		return &FileError{path, ErrFormat, "it is not gzipped"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &FileError{path, ErrTruncated, "it ends within its table"}
	}
	return &FileError{path, ErrCorrupt, err.Error()}
}

// add appends the cells of one line.
func (p *PerUser) add(cells []string) error {
	if len(cells) != len(fixed())+len(p.Metric) {
		return fmt.Errorf("%d columns, want %d", len(cells), len(fixed())+len(p.Metric))
	}
	id := cells[0]
	if strings.HasPrefix(id, `"`) {
		if err := json.Unmarshal([]byte(cells[0]), &id); err != nil {
			return err
		}
	}
	for c, into := range []*[]int{&p.Targets, &p.Degree} {
		n, err := strconv.Atoi(cells[1+c])
		if err != nil {
			return fmt.Errorf("%s %q is not a whole number", fixed()[1+c], cells[1+c])
		}
		*into = append(*into, n)
	}
	p.User = append(p.User, strings.Clone(id)) // not the whole line
	for m, text := range cells[len(fixed()):] {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%s %q is not a number", p.Metric[m], text)
		}
		p.Value[m] = append(p.Value[m], v)
	}
	return nil
}
