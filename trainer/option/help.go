package option

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Help writes one aligned table for each group: flag, default, meaning with what is allowed, source of the default.
func (s *Set) Help(w io.Writer) error {
	rows := make([][3]string, len(s.options))
	var width [3]int
	for i, o := range s.options {
		meaning := o.Help
		if allowed := o.allowed(); allowed != "" {
			meaning = strings.TrimSpace(meaning + " (" + allowed + ")")
		}
		rows[i] = [3]string{"-" + o.Name, o.Default, meaning}
		for c, cell := range rows[i] {
			width[c] = max(width[c], utf8.RuneCountInString(cell))
		}
	}
	out := bufio.NewWriter(w)
	for i, o := range s.options {
		if i == 0 || o.Group != s.options[i-1].Group {
			if i > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintln(out, o.Group)
		}
		line := fmt.Sprintf("  %-*s  %-*s  %-*s", width[0], rows[i][0], width[1], rows[i][1], width[2], rows[i][2])
		if o.Source != "" {
			line += "  [" + o.Source + "]"
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	return out.Flush()
}
