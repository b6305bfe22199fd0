package option

import (
	"fmt"
	"strings"
)

// Nearest is the name most likely meant by a misspelt one: the smallest edit distance, of at most a third of its length (and
// at least 1), or else the only name that begins with it.
func Nearest(misspelt string, names []string) (string, bool) {
	misspelt = strings.ToLower(misspelt)
	best, distance := "", max(1, len(misspelt)/3)+1
	var extended []string
	for _, name := range names {
		if d := editDistance(misspelt, strings.ToLower(name)); d < distance {
			best, distance = name, d
		}
		if misspelt != "" && strings.HasPrefix(strings.ToLower(name), misspelt) {
			extended = append(extended, name)
		}
	}
	if best == "" && len(extended) == 1 {
		best = extended[0]
	}
	return best, best != ""
}

// suggestion is the end of an error about a misspelt name; "" where nothing is near.
func suggestion(prefix, misspelt string, names []string) string {
	if name, ok := Nearest(misspelt, names); ok {
		return fmt.Sprintf(" (did you mean %s%s?)", prefix, name)
	}
	return ""
}

// editDistance counts insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	beforeLast, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitution := last[j-1]
			if a[i-1] != b[j-1] {
				substitution++
			}
			row[j] = min(substitution, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeLast[j-2]+1)
			}
		}
		beforeLast, last, row = last, row, beforeLast
	}
	return last[len(b)]
}
