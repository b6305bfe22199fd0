package dataset

import (
	"strings"
	"testing"
)

// TestUndecided: files in which no user comes twice, and four columns or fewer are on a line, are read as the files beside them.
func TestUndecided(t *testing.T) {
	const ncf = "1 10 5 100\n1 11 4 101\n2 10 3 102\n2 12 3 103\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		force Format
		want  string // train | valid | test
		why   string // a part of the report
	}{
		{"leave-one-out with times", map[string]string{"train.txt": ncf, "test.txt": "1 12 5 200\n2 11 4 201\n", "valid.txt": "1 11 5 101\n2 12 4 103\n"}, "",
			"1:10 2:10 | 1:11 2:12 | 1:12 2:11", "train.txt is), 2 lines, 2 interactions"},
		{"train follows test", map[string]string{"train.txt": "1 10 5 100\n2 12 4 103\n", "test.txt": ncf}, "", "1:10 2:12 |  | 1:10,11 2:10,12", "(as "},
		{"four columns on every line alone", map[string]string{"train.txt": "1 10 5 100\n2 12 4 103\n"}, "",
			"1:5,10,100 2:4,12,103 |  | ", "if columns 3 and 4 are a weight and a time, say -format pairs"},
		{"five columns", map[string]string{"train.txt": ncf, "test.txt": "1 12 5 200 7\n2 11 4 201 7\n"}, "",
			"1:10,11 2:10,12 |  | 1:5,7,12,200 2:4,7,11,201", "line 1 has 5 columns or more"},
		{"four columns and three", map[string]string{"train.txt": ncf, "test.txt": "1 12 5 200\n2 11 4\n"}, "",
			"1:10,11 2:10,12 |  | 1:5,12,200 2:4,11", "line 2 has 3 columns, line 1 has 4"},
		{"four columns and one", map[string]string{"train.txt": ncf, "test.txt": "1 12 5 200\n2\n"}, "", "1:10,11 2:10,12 |  | 1:5,12,200", "line 2 has one column"},
		{"a validation file of weights beside lightgcn", map[string]string{"train.txt": "1 5 6 7 8\n2 5 6\n", "valid.txt": "1 5 1\n2 6 1\n"}, "",
			"1:6,7,8 2:5 | 1:5 2:6 | ", "column 3 is 1 on all of them"},
		{"an item 1 of one user", map[string]string{"train.txt": "1 5 6 7 1\n2 5 6\n", "valid.txt": "1 5 1\n"}, "", "1:6,7 2:5,6 | 1:1,5 | ", "train.txt is)"},
		{"a validation file of items beside lightgcn", map[string]string{"train.txt": "1 5 6 7 8\n2 5 6 9\n", "valid.txt": "1 5 6\n2 6 9\n"}, "",
			"1:7,8 2:5 | 1:5,6 2:6,9 | ", "train.txt is)"},
		{"a validation file that is forced", map[string]string{"train.txt": "1 5 6\n1 7 8\n2 5 6\n", "valid.txt": "1 5 6\n2 5 6\n"}, LightGCN,
			"1:7,8 | 1:5,6 2:5,6 | ", "as -format says"},
		{"a validation file that is decided", map[string]string{"train.txt": "1 5 6\n2 5 6\n", "valid.txt": "1 5\n1 6\n"}, LightGCN, "2:5,6 | 1:5,6 | ", `user "1" is on lines 1 and 2`},
		{"beside a table", map[string]string{"train.csv": "user,item\n1,5\n1,6\n", "test.txt": "1 7 9\n2 6 8\n"}, "", "1:5,6 |  | 1:7 2:6", "an interaction a line, as "},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := load(t, Options{Path: folder(t, c.files), Format: c.force})
			if got := d.text(d.Train) + " | " + d.text(d.Valid) + " | " + d.text(d.Test); got != c.want || !strings.Contains(d.String(), c.why) {
				t.Errorf("%s, want %s, since %s:\n%s", got, c.want, c.why, d)
			}
		})
	}
	d := load(t, Options{Path: folder(t, map[string]string{"train.txt": ncf, "test.txt": "1 12 5 200\n2 11 4 201\n"})})
	if len(d.Test.Time) != 2 || d.Parts.Leaks.Unknown {
		t.Errorf("the test file's times are not read:\n%s", d)
	}
}
