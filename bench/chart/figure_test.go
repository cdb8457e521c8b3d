package chart

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden figure, to be looked at in review")

func example() Figure {
	return Figure{Title: "A <figure> & more", Columns: 2, Panels: []Panel{
		{
			Title: "Lines", X: "minutes", Y: "MiB", Categories: []string{"1", "5", "10"},
			Series: []Series{{"a", []float64{1, 250, 1200}}, {"b", []float64{math.NaN(), 300, 700}}},
		},
		{
			Title: "Bars", X: "ms", Bars: true, Log: true, Categories: []string{"single-groupby", "lastpoint"},
			Series: []Series{{"a", []float64{0.8, 2500}}, {"b", []float64{7, math.NaN()}}},
		},
	}}
}

func TestAFigureIsTheSameEachTime(t *testing.T) {
	const golden = "testdata/figure.svg"
	got := example().SVG()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the figure differs from %s; -update rewrites it", golden)
	}
}

// TestAFigureIsWellFormed and shows all names, for odd values too.
func TestAFigureIsWellFormed(t *testing.T) {
	odd := Figure{Title: "odd", Panels: []Panel{
		{Title: "none"},
		{Title: "zero", Categories: []string{"x"}, Series: []Series{{"s", []float64{0}}}},
		{Title: "zero bars", Bars: true, Log: true, Categories: []string{"x"}, Series: []Series{{"s", []float64{0}}}},
		{Title: "one", Log: true, Categories: []string{"x"}, Series: []Series{{"s", []float64{10}}}},
	}}
	for _, f := range []Figure{example(), odd} {
		text := string(f.SVG())
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s has a place that is no number", f.Title)
		}
		for _, p := range f.Panels {
			for _, name := range append([]string{p.Title, p.X, p.Y}, p.Categories...) {
				if !strings.Contains(text, escape(name)) {
					t.Errorf("%s does not show %q", f.Title, name)
				}
			}
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 1.2345: "1.23", 99.96: "100", 450: "450", 9999: "9999", 12_345: "12.3k", 2_880_000: "2.88M"} {
		if got := number(v); got != want {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
}

func TestTicksLieOnTheAxis(t *testing.T) {
	for _, high := range []float64{0.003, 1, 7, 42, 99, 12345} {
		for _, log := range []bool{false, true} {
			s := newScale([]float64{high / 7, high}, log)
			ticks := s.ticks()
			if len(ticks) < 2 || len(ticks) > 11 {
				t.Errorf("up to %g there are %d ticks", high, len(ticks))
			}
			for _, tick := range ticks {
				if at := s.at(tick); at < 0 || at > 1.001 {
					t.Errorf("tick %g of %g lies at %g", tick, high, at)
				}
			}
		}
	}
}
