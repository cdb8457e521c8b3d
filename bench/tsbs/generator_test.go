package tsbs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// goldenSum is that of the default data set (G1). Recorded results lose their meaning
// when it changes.
const goldenSum = "a0e9ca4066d81406b35f18fcdd78fa6c031024569b02e9a4a31f50d00bc80aa2"

func TestAConfigAlwaysMakesTheSameBytes(t *testing.T) {
	h := sha256.New()
	g, err := NewGenerator(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for line, ok := g.AppendLine(nil); ok; line, ok = g.AppendLine(line[:0]) {
		h.Write(line)
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != goldenSum {
		t.Errorf("the default data set has the sum %s, want %s", got, goldenSum)
	}
}

func TestAnotherSeedMakesOtherValues(t *testing.T) {
	first := func(seed uint64) string {
		g, err := NewGenerator(Config{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		line, _ := g.AppendLine(nil)
		return string(line)
	}
	if first(1) == first(2) {
		t.Error("seeds 1 and 2 begin with the same line")
	}
}

func TestBodiesCutTheLinesWithoutLoss(t *testing.T) {
	config := Config{Hosts: 7, Duration: time.Minute} // 42 lines
	lines, err := NewGenerator(config)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for ok := true; ok; {
		want, ok = lines.AppendLine(want)
	}
	for _, perBody := range []int{1, 5, 42, 100} {
		g, err := NewGenerator(config)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for i, b := range g.Bodies(perBody) {
			if n := bytes.Count(b.Text, []byte("\n")); n != b.Rows || n > perBody {
				t.Fatalf("body %d of at most %d lines has %d and says %d", i, perBody, n, b.Rows)
			}
			got = append(got, b.Text...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("bodies of %d lines hold other bytes than the lines", perBody)
		}
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := NewGenerator(Config{Hosts: -1, Duration: time.Second})
	if err == nil || !strings.Contains(err.Error(), "-1 hosts") || !strings.Contains(err.Error(), "duration of 1s") {
		t.Errorf("error is %v", err)
	}
}

func TestMixRepeatsTheSampleAtLaterTimes(t *testing.T) {
	sample, err := datasets.DevOps.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := Mix(2, 7000)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	rows := 0
	for _, b := range bodies {
		all = append(all, b.Text...)
		rows += b.Rows
	}
	if rows != 2*datasets.DevOps.Lines {
		t.Fatalf("%d rows in two rounds of %d", rows, datasets.DevOps.Lines)
	}
	if !bytes.HasPrefix(all, sample) {
		t.Error("the first round is not the sample")
	}
	points := make(map[string]bool)
	for line := range bytes.Lines(all) {
		words := bytes.Split(bytes.TrimSpace(line), []byte(" "))
		points[string(words[0])+" "+string(words[len(words)-1])] = true
	}
	if len(points) != rows {
		t.Errorf("%d rows are %d points", rows, len(points))
	}
}
