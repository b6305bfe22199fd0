package main

import (
	"fmt"
	"html"
	"os"
	"strings"
)

// The picture is a bar for every timed record: how much of its ceiling a kernel reaches, with the time behind it; where no ceiling was measured, the
// time of the problem's fastest variant over its own. It is written by hand: bars and text are all that it needs of SVG.
const (
	rowHeight = 16
	barLeft   = 470
	barWidth  = 420
	pageWidth = barLeft + barWidth + 150
)

// colours of variants, which keep theirs in every picture (Okabe, Ito 2008: told apart by all).
var colours = map[string]string{"generic": "#999999", "avx2": "#56b4e9", "avx512": "#0072b2", "cuda": "#009e73", "malloc": "#e69f00", "tuned": "#d55e00"}

func colour(variant string) string {
	if c := colours[variant]; c != "" {
		return c
	}
	return "#cc79a7"
}

// plot draws the records as SVG.
func plot(records []record) string {
	var timed []record
	fastest := map[string]float64{}
	for _, r := range records {
		if r.MS == nil {
			continue
		}
		timed = append(timed, r)
		if f, ok := fastest[r.problem()]; !ok || *r.MS < f {
			fastest[r.problem()] = *r.MS
		}
	}
	var s strings.Builder
	y := 40
	text := func(x, y int, anchor, words string) {
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(words))
	}
	last := ""
	for _, r := range timed {
		if r.problem() != last {
			y += rowHeight / 2
			text(barLeft-90, y+12, "end", strings.TrimSpace(fmt.Sprintf("%s, %s%s", r.Kernel, r.Size, threadsOf(r))))
			last = r.problem()
		}
		part, words := 0.0, ""
		if r.Share != nil {
			part, words = *r.Share, fmt.Sprintf("%s ms, %s of %s", figure(r.MS), percent(r.Share), r.Ceiling)
		} else {
			part, words = fastest[r.problem()] / *r.MS, figure(r.MS)+" ms"
		}
		width := int(barWidth * min(1, part))
		opacity := "1"
		if r.Share == nil {
			opacity = ".4"
		}
		text(barLeft-8, y+12, "end", r.Variant)
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s" fill-opacity="%s"/>`+"\n", barLeft, y+2, max(1, width), rowHeight-3, colour(r.Variant), opacity)
		text(barLeft+width+6, y+12, "start", words)
		y += rowHeight
	}
	height := y + 40
	var head strings.Builder
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", pageWidth,
		height, pageWidth, height)
	fmt.Fprintf(&head, `<rect width="%d" height="%d" fill="white"/>`+"\n", pageWidth, height)
	for _, share := range []int{0, 25, 50, 75, 100} {
		x := barLeft + barWidth*share/100
		fmt.Fprintf(&head, `<line x1="%d" y1="36" x2="%d" y2="%d" stroke="#ddd"/><text x="%d" y="30" text-anchor="middle">%d%%</text>`+"\n", x, x, y, x, share)
	}
	fmt.Fprintf(&head, `<text x="%d" y="14" text-anchor="middle">share of the ceiling that the same run measured; pale, where there is none: the fastest over this one</text>`+"\n",
		barLeft+barWidth/2)
	return head.String() + s.String() + "</svg>\n"
}

func (r record) problem() string { return fmt.Sprintf("%s|%s|%d", r.Kernel, r.Size, r.Threads) }

func threadsOf(r record) string {
	if r.Threads == 1 {
		return ""
	}
	return fmt.Sprintf(", %d threads", r.Threads)
}

func writePlot(path string, records []record) error {
	if err := os.WriteFile(path, []byte(plot(records)), 0o666); err != nil {
		return fmt.Errorf("-plot: %w", err)
	}
	return nil
}
