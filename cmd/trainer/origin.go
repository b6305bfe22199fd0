package main

import (
	"fmt"
	"strings"

	"nearfar/trainer/option"
)

// options is the resolved configuration as a few lines to read, grouped by where the values come from.
func (c *commandLine) options() string {
	var b strings.Builder
	for _, from := range []struct {
		origin option.Origin
		title  string
	}{
		{option.FromCommandLine, "from the command line"},
		{option.FromEnvironment, "from the environment"},
		{option.FromFile, "from a file"},
		{option.FromDefault, "by default"},
	} {
		var parts []string
		for _, o := range c.set.Options() {
			if o.Origin() == from.origin && o.Value() != "" {
				parts = append(parts, o.Name+"="+o.Value())
			}
		}
		if len(parts) > 0 {
			wrap(&b, "options    "+from.title+":", parts)
		}
	}
	return b.String()
}

// wrap writes words behind a beginning, in lines of a width that terminals have.
func wrap(b *strings.Builder, line string, words []string) {
	const width = 110
	for _, word := range words {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "          "
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// origins gives for each option its value and where that comes from: "0.2 (sgl.yaml:3)".
func (c *commandLine) origins() map[string]string {
	all := map[string]string{}
	for _, o := range c.set.Options() {
		from := o.Origin().String()
		if o.Place() != "" {
			from = o.Place()
		}
		all[o.Name] = fmt.Sprintf("%s (%s)", o.Value(), from)
	}
	return all
}
