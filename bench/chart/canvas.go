package chart

import (
	"fmt"
	"strings"
)

// box is a rectangle in pixels.
type box struct{ x, y, w, h float64 }

// canvas collects elements of SVG.
type canvas struct{ strings.Builder }

func (c *canvas) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(c, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(text))
}

// upright is text that is read from below.
func (c *canvas) upright(x, y float64, text string) {
	fmt.Fprintf(c, `<text class="faint" transform="translate(%.1f %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n", x, y, escape(text))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (c *canvas) rect(class string, b box) {
	fmt.Fprintf(c, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, b.x, b.y, b.w, b.h)
}

func (c *canvas) dot(class string, x, y float64) {
	fmt.Fprintf(c, `<circle class="%s" cx="%.1f" cy="%.1f" r="3.5"/>`+"\n", class, x, y)
}

func (c *canvas) polyline(class string, points []string) {
	fmt.Fprintf(c, `<polyline class="%s" points="%s"/>`+"\n", class, strings.Join(points, " "))
}
