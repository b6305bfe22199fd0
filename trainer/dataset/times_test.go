package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// TestUnits: times of two files are compared only where they are of one unit.
func TestUnits(t *testing.T) {
	table := func(times ...string) string {
		text := "user,item,time\n"
		for k, at := range times {
			text += fmt.Sprintf("1,%d,%s\n", k+10, at)
		}
		return text
	}
	seconds, milliseconds := table("1388534400", "1398534400"), table("1388534400000", "1398534400000")
	days, small := table("2014-01-01", "1969-05-05"), table("5", "1398534400")
	for _, c := range []struct{ name, train, test, want string }{
		{"milliseconds and dates", milliseconds, days, "train.csv (milliseconds)|test.csv (dates) cannot be compared"},
		{"dates and milliseconds", days, milliseconds, "train.csv (dates)|test.csv (milliseconds) cannot be compared"},
		{"seconds and milliseconds", seconds, milliseconds, "train.csv (seconds)|test.csv (milliseconds) cannot be compared"},
		{"microseconds and nanoseconds", table("1388534400000000"), table("1388534400000000000"), "(microseconds)|(nanoseconds)"},
		{"numbers and dates", small, days, "train.csv (numbers)|test.csv (dates) cannot be compared"},
		{"dates and seconds", days, seconds, ""},
		{"dates and dates", days, days, ""},
		{"seconds and numbers", seconds, small, ""},
		{"numbers", small, small, ""},
		{"times and none", seconds, "user,item\n1,5\n", ""},
	} {
		_, err := Load(t.Context(), Options{Path: folder(t, map[string]string{"train.csv": c.train, "test.csv": c.test})})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		for _, want := range strings.Split(c.want, "|") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %s", c.name, err, want)
			}
		}
	}
	// One file that deals its rows has one kind of times, whatever part they are in.
	for _, text := range []string{"1,2,1970-05-05,0\n1,3,2014-01-01,2\n", "1,2,5,0\n1,3,1398534400,2\n"} {
		d := load(t, Options{Path: folder(t, map[string]string{"ratings.csv": "user,item,time,x_label\n" + text})})
		if d.Test.Len() != 1 || len(d.Test.Time) != 1 {
			t.Errorf("%s", d)
		}
	}
}
