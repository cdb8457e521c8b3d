package chart

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Figure is some panels, beside and below each other.
type Figure struct {
	Title  string
	Panels []Panel
	// Columns is how many panels stand side by side; 0 is 1.
	Columns int
}

// Panel is one chart: lines over categories, or bars.
type Panel struct {
	Title      string
	X, Y       string // labels of the axes, with units; of bars X is what they measure
	Categories []string
	Series     []Series
	// Bars draws horizontal bars, category by category, instead of lines.
	Bars bool
	// Log spaces values by their logarithms. They must be above 0.
	Log bool
}

// Series is a value for each category; NaN is a gap.
type Series struct {
	Name   string
	Values []float64
}

const (
	width       = 880.0 // of a figure
	titleHeight = 34.0
	lineHeight  = 250.0 // of a panel of lines
	gap         = 18.0  // between panels
	barHeight   = 11.0
	groupGap    = 7.0 // between the bars of two categories
	textHeight  = 14.0
	letterWidth = 6.3 // of the mean letter of 11 pixels
)

// style gives colours to both grounds. The series' colours are told apart by people who do not
// see red and green differently (Okabe and Ito).
const style = `<style>
:root{--ground:#ffffff;--ink:#1f2328;--faint:#59636e;--grid:#d8dee4}
.s0{--c:#0072b2}.s1{--c:#d55e00}.s2{--c:#009e73}.s3{--c:#cc79a7}.s4{--c:#b8860b}.s5{--c:#56b4e9}
@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--ink:#e6edf3;--faint:#9198a1;--grid:#30363d}
.s0{--c:#4aa3df}.s1{--c:#f08c42}.s2{--c:#2bc49a}.s3{--c:#e29cc4}.s4{--c:#e3b341}.s5{--c:#9bd3f5}}
text{font:11px system-ui,sans-serif;fill:var(--ink)}.title{font-size:15px;font-weight:600}.head{font-size:12px;font-weight:600}
.faint{fill:var(--faint)}.value{paint-order:stroke;stroke:var(--ground);stroke-width:3px}.ground{fill:var(--ground)}.grid{stroke:var(--grid);stroke-width:1}
.bar{fill:var(--c)}.line{stroke:var(--c);stroke-width:2;fill:none}.dot{fill:var(--c)}
</style>
`

// colours is the number of classes that style knows.
const colours = 6

// SVG draws the figure.
func (f Figure) SVG() []byte {
	columns := max(f.Columns, 1)
	w := (width - gap*float64(columns+1)) / float64(columns)
	var body canvas
	y := titleHeight
	for row := 0; row < len(f.Panels); row += columns {
		tallest := 0.0
		for i, p := range f.Panels[row:min(row+columns, len(f.Panels))] {
			area := box{x: gap + float64(i)*(w+gap), y: y, w: w, h: p.height()}
			p.draw(&body, area)
			tallest = max(tallest, area.h)
		}
		y += tallest + gap
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img">`+"\n", width, y, width, y)
	fmt.Fprintf(&out, "<title>%s</title>\n%s<rect class=\"ground\" width=\"100%%\" height=\"100%%\"/>\n", escape(f.Title), style)
	fmt.Fprintf(&out, `<text class="title" x="%g" y="22">%s</text>`+"\n", gap, escape(f.Title))
	out.WriteString(body.String())
	out.WriteString("</svg>\n")
	return []byte(out.String())
}

// height is what a panel needs.
func (p Panel) height() float64 {
	if !p.Bars {
		return lineHeight + p.legendHeight()
	}
	groups := float64(len(p.Categories)) * (float64(len(p.Series))*barHeight + groupGap)
	return textHeight + 10 + p.legendHeight() + groups + 2*textHeight + 12
}

func (p Panel) legendHeight() float64 {
	if len(p.Series) < 2 {
		return 0
	}
	return textHeight + 4
}

func (p Panel) draw(c *canvas, area box) {
	c.text(area.x, area.y+textHeight, "head", "start", p.Title)
	top := area.y + textHeight + 10
	if p.legendHeight() > 0 {
		p.legend(c, area.x, top+4)
		top += p.legendHeight()
	}
	area.h -= top - area.y
	area.y = top
	if p.Bars {
		p.drawBars(c, area)
		return
	}
	p.drawLines(c, area)
}

func (p Panel) legend(c *canvas, x, y float64) {
	for i, s := range p.Series {
		c.rect(class("bar", i), box{x, y - 4, 10, 10})
		c.text(x+14, y+5, "", "start", s.Name)
		x += 28 + textWidth(s.Name)
	}
}

// drawBars draws categories from top to bottom, and their values to the right.
func (p Panel) drawBars(c *canvas, area box) {
	left := 0.0
	for _, name := range p.Categories {
		left = max(left, textWidth(name))
	}
	const valueRoom = 60 // behind the longest bar
	plot := box{area.x + left + 8, area.y, area.w - left - 8 - valueRoom, area.h - 2*textHeight - 12}
	s := newScale(p.values(), p.Log)
	for _, tick := range s.ticks() {
		x := plot.x + s.at(tick)*plot.w
		c.line("grid", x, plot.y, x, plot.y+plot.h)
		c.text(x, plot.y+plot.h+textHeight, "faint", "middle", number(tick))
	}
	c.text(plot.x+plot.w/2, plot.y+plot.h+2*textHeight+4, "faint", "middle", p.X)
	y := plot.y + groupGap/2
	for i, name := range p.Categories {
		group := float64(len(p.Series)) * barHeight
		c.text(plot.x-8, y+group/2+4, "", "end", name)
		for j, series := range p.Series {
			if v := series.Values[i]; !math.IsNaN(v) {
				w := max(s.at(v)*plot.w, 1)
				c.rect(class("bar", j), box{plot.x, y + 1, w, barHeight - 2})
				c.text(plot.x+w+4, y+barHeight-1.5, "faint", "start", number(v))
			}
			y += barHeight
		}
		y += groupGap
	}
}

// drawLines draws categories from left to right, and their values upwards.
func (p Panel) drawLines(c *canvas, area box) {
	s := newScale(p.values(), p.Log)
	left := 0.0
	for _, tick := range s.ticks() {
		left = max(left, textWidth(number(tick)))
	}
	plot := box{area.x + left + 24, area.y + 6, area.w - left - 40, area.h - 2*textHeight - 22}
	c.upright(area.x+9, plot.y+plot.h/2, p.Y)
	for _, tick := range s.ticks() {
		y := plot.y + plot.h - s.at(tick)*plot.h
		c.line("grid", plot.x, y, plot.x+plot.w, y)
		c.text(plot.x-6, y+4, "faint", "end", number(tick))
	}
	at := func(i int) float64 { return plot.x + plot.w*(float64(i)+0.5)/float64(len(p.Categories)) }
	for i, name := range p.Categories {
		c.text(at(i), plot.y+plot.h+textHeight+2, "", "middle", name)
	}
	c.text(plot.x+plot.w/2, plot.y+plot.h+2*textHeight+6, "faint", "middle", p.X)
	var labels []label
	for j, series := range p.Series {
		var points []string
		for i, v := range series.Values {
			if math.IsNaN(v) {
				continue
			}
			x, y := at(i), plot.y+plot.h-s.at(v)*plot.h
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			c.dot(class("dot", j), x, y)
			if len(p.Series) == 1 {
				labels = append(labels, label{x, y - 7, number(v)})
			}
		}
		c.polyline(class("line", j), points)
	}
	for _, l := range labels { // above the lines
		c.text(l.x, l.y, "faint value", "middle", l.text)
	}
}

// label is a value at its point.
type label struct {
	x, y float64
	text string
}

// values are all that can be drawn.
func (p Panel) values() (all []float64) {
	for _, s := range p.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				all = append(all, v)
			}
		}
	}
	return all
}

func class(kind string, series int) string { return fmt.Sprintf("%s s%d", kind, series%colours) }

func textWidth(text string) float64 { return letterWidth * float64(len([]rune(text))) }

func escape(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text)) // a Builder takes everything
	return out.String()
}
