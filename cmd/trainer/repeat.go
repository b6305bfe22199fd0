package main

import (
	"slices"
	"strconv"
	"strings"

	"nearfar/trainer/sweep"
)

// repeat is the command that trains a trial again: every option that is not at its default.
func (c *commandLine) repeat(t sweep.Trial) string {
	one, err := c.with(t.Settings, c.Seed)
	if err != nil {
		return err.Error() // every trial was checked before
	}
	words := []string{"trainer", "-model", c.spec.Name}
	for _, o := range one.set.Changed() {
		switch {
		case slices.Contains([]string{"model", "out", "config", "resume", "seed"}, o.Name):
		case o.IsBool():
			words = append(words, "-"+o.Name+"="+o.Value())
		default:
			words = append(words, "-"+o.Name, quoted(o.Value()))
		}
	}
	switch {
	case len(c.Seeds) > 0:
		words = append(words, "-seeds", c.set.Lookup("seeds").Value())
	case c.Seed != 1:
		words = append(words, "-seed", strconv.FormatUint(c.Seed, 10))
	}
	if c.Refit {
		words = append(words, "-refit")
	}
	return strings.Join(words, " ")
}

// quoted is a word as shells take it.
func quoted(word string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+=,/:@%", r))
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
