package option

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LoadYAML reads options from a flat YAML mapping, "key: value" with the flags' names as keys. Options that the command line
// has set keep their value. An unknown key, a key given twice and a value of the wrong type are errors with file:line; all
// that are found are reported, and then no option is changed.
func (s *Set) LoadYAML(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return s.readYAML(path, text)
}

func (s *Set) readYAML(path string, text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, another yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // empty, or comments only
	} else if err != nil {
		return placed(path, err)
	}
	if err := decoder.Decode(&another); err == nil {
		return fmt.Errorf("%s:%d: a second YAML document: want one", path, another.Line)
	} else if !errors.Is(err, io.EOF) {
		return placed(path, err)
	}
	root := document.Content[0]
	if isNull(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: want lines of \"key: value\"", path, root.Line)
	}

	type assignment struct {
		option      *Option
		text, place string
	}
	var assignments []assignment
	var wrong []error
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		place := fmt.Sprintf("%s:%d", path, key.Line)
		o := s.byName[key.Value]
		if key.Kind != yaml.ScalarNode || o == nil {
			wrong = append(wrong, &UnknownError{key.Value, fmt.Sprintf("%s: unknown key %q%s", place, key.Value, suggestion("", key.Value, s.names()))})
			continue
		}
		if line, twice := seen[o.Name]; twice {
			wrong = append(wrong, fmt.Errorf("%s: %s is given twice, first in line %d", place, o.Name, line))
			continue
		}
		seen[o.Name] = key.Line
		text, err := o.yamlText(value)
		if err == nil {
			err = o.kind.parse(text, reflect.New(o.value.Type()).Elem())
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", place, o.Name, err))
			continue
		}
		assignments = append(assignments, assignment{o, text, place})
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	for _, a := range assignments {
		if a.option.origin > FromFile {
			continue
		}
		if err := a.option.set(a.text, FromFile, a.place); err != nil {
			return fmt.Errorf("%s: %s: %w", a.place, a.option.Name, err)
		}
	}
	return nil
}

// yamlText is the value of a key as it would be written on the command line: a scalar, or for a list [10, 20, 50].
func (o *Option) yamlText(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case isNull(n):
		return "", errors.New(`has no value (an empty text is "")`)
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode && o.kind.isList:
		fields := make([]string, len(n.Content))
		for i, element := range n.Content {
			if element.Kind != yaml.ScalarNode || strings.TrimSpace(element.Value) == "" {
				return "", errors.New("want a list of single values, such as [10, 20, 50]")
			}
			fields[i] = element.Value
		}
		return strings.Join(fields, ","), nil
	}
	return "", errors.New("want a single value")
}

// Resolved is every option's present value as YAML, one "key: value" a line under its group's title. LoadYAML reads it back
// to the same values.
func (s *Set) Resolved() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for i, o := range s.options {
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: o.Name}
		if i == 0 || o.Group != s.options[i-1].Group {
			key.HeadComment = o.Group
		}
		root.Content = append(root.Content, key, o.yamlNode())
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return text.Bytes(), nil
}

func (o *Option) yamlNode() *yaml.Node {
	if !o.kind.isList {
		return o.kind.scalar(o.Value())
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	if o.value.Len() > 0 {
		for element := range strings.SplitSeq(o.Value(), ",") {
			n.Content = append(n.Content, o.kind.scalar(element))
		}
	}
	return n
}

// scalar is a single value.
func (k kind) scalar(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if k.isText {
		n.Tag = "!!str" // quotes what would read as a number, a boolean or null
		if strings.ContainsFunc(n.Value, func(r rune) bool { return r < ' ' || r > '~' }) {
			n.Style = yaml.DoubleQuotedStyle // block styles do not keep every blank and line end
		}
	}
	return n
}

func (s *Set) names() []string {
	names := make([]string, len(s.options))
	for i, o := range s.options {
		names[i] = o.Name
	}
	return names
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// placed turns the parser's "yaml: line 3: what" into "path:3: what".
func placed(path string, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if n, _ := fmt.Sscanf(message, "line %d:", &line); n == 1 {
		_, what, _ := strings.Cut(message, ": ")
		return fmt.Errorf("%s:%d: %s", path, line, what)
	}
	return fmt.Errorf("%s: %s", path, message)
}
