package engine

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Explain prints the program: each instruction with its operands' shapes, the bytes it must move, its floating-point operations, and the operators
// of the graph that it came from; then what the whole needs.
func (p *Plan) Explain(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "#\tkernel\toutputs\tinputs\tMB\tMFLOP\tin place\tfrom")
	var flops, bytes int64
	for k, i := range p.Code {
		flops, bytes = flops+i.FLOPs, bytes+i.Bytes
		place := ""
		for o, in := range i.InPlace {
			if in >= 0 {
				place += fmt.Sprintf("%d:%d ", o, in)
			}
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%.2f\t%.2f\t%s\t%s\n", k, i.K.Name(), p.operands(i.Out), p.operands(i.In), float64(i.Bytes)/1e6, float64(i.FLOPs)/1e6,
			place, shorten(i.From))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d instructions, %.1f MB moved and %.1f MFLOP a step at least; arena %.1f MB, inputs %.2f MB\n", len(p.Code), float64(bytes)/1e6,
		float64(flops)/1e6, float64(p.Arena)/1e6, float64(p.Input)/1e6)
	return err
}

// operands prints buffers as name or kind and shape.
func (p *Plan) operands(ids []BufID) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		b := p.Bufs[id]
		name := b.Name
		if name == "" {
			name = fmt.Sprintf("t%d", b.Root)
		}
		s[i] = name + strings.TrimPrefix(b.Desc.String(), b.Desc.Type.String()) // the shape alone
	}
	return strings.Join(s, " ")
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}
