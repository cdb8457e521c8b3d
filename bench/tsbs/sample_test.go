package tsbs

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/internal/datasets"
)

// parsed is one line of cpu, taken apart without the parser of the database.
type parsed struct {
	series string
	keys   []string // of the tags, in order
	tags   map[string]string
	names  []string // of the fields, in order
	values []int
	time   string
	size   int
}

func parse(t *testing.T, text string) []parsed {
	t.Helper()
	var lines []parsed
	for line := range strings.Lines(text) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(parts) != 3 {
			t.Fatalf("line %d has %d parts: %s", len(lines)+1, len(parts), line)
		}
		p := parsed{series: parts[0], tags: make(map[string]string), time: parts[2], size: len(line)}
		measurement, tags, _ := strings.Cut(parts[0], ",")
		if measurement != Table {
			t.Fatalf("line %d is of %q", len(lines)+1, measurement)
		}
		for pair := range strings.SplitSeq(tags, ",") {
			key, value, _ := strings.Cut(pair, "=")
			p.keys = append(p.keys, key)
			p.tags[key] = value
		}
		for pair := range strings.SplitSeq(parts[1], ",") {
			name, value, _ := strings.Cut(pair, "=")
			n, err := strconv.Atoi(strings.TrimSuffix(value, "i"))
			if err != nil || !strings.HasSuffix(value, "i") {
				t.Fatalf("line %d: %s is no integer field", len(lines)+1, pair)
			}
			p.names = append(p.names, name)
			p.values = append(p.values, n)
		}
		lines = append(lines, p)
	}
	return lines
}

// both returns the sample of TSBS and what we make instead of it.
func both(t *testing.T) (sample, ours []parsed) {
	t.Helper()
	text, err := datasets.CPU.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGenerator(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var made strings.Builder
	for _, b := range g.Bodies(1000) {
		made.Write(b.Text)
	}
	return parse(t, string(text)), parse(t, made.String())
}

// TestLinesAreLikeTheSample holds what we make against what TSBS made (G2).
func TestLinesAreLikeTheSample(t *testing.T) {
	sample, ours := both(t)
	t.Run("order and names", func(t *testing.T) { checkOrder(t, sample, ours) })
	t.Run("a series keeps its tags", func(t *testing.T) { checkSeries(t, ours) })
	t.Run("domains of tags", func(t *testing.T) { checkDomains(t, sample) })
	t.Run("lengths", func(t *testing.T) { checkLengths(t, sample, ours) })
	t.Run("values", func(t *testing.T) { checkValues(t, sample, ours) })
}

func checkOrder(t *testing.T, sample, ours []parsed) {
	if len(sample) != len(ours) {
		t.Fatalf("%d lines, the sample has %d", len(ours), len(sample))
	}
	for i := range sample {
		s, o := sample[i], ours[i]
		if s.time != o.time || s.tags["hostname"] != o.tags["hostname"] {
			t.Fatalf("line %d is of %s at %s, in the sample of %s at %s", i+1, o.tags["hostname"], o.time, s.tags["hostname"], s.time)
		}
		if !slices.Equal(s.keys, o.keys) || !slices.Equal(s.names, o.names) {
			t.Fatalf("line %d has %v and %v, in the sample %v and %v", i+1, o.keys, o.names, s.keys, s.names)
		}
	}
}

func checkSeries(t *testing.T, ours []parsed) {
	byHost := make(map[string]string)
	for _, l := range ours {
		host := l.tags["hostname"]
		if earlier, ok := byHost[host]; ok && earlier != l.series {
			t.Fatalf("%s is %s and %s", host, earlier, l.series)
		}
		byHost[host] = l.series
	}
	if len(byHost) != 100 {
		t.Fatalf("%d hosts, want 100", len(byHost))
	}
}

// checkDomains compares the tags of many hosts with the sample, which has met every
// value of the small domains.
func checkDomains(t *testing.T, sample []parsed) {
	g, err := NewGenerator(Config{Hosts: 4000, Duration: DefaultInterval})
	if err != nil {
		t.Fatal(err)
	}
	var many []parsed
	for _, b := range g.Bodies(1000) {
		many = append(many, parse(t, string(b.Text))...)
	}
	for _, l := range many {
		if n, err := strconv.Atoi(l.tags["rack"]); err != nil || n < 0 || n >= racks {
			t.Fatalf("there is no rack %s", l.tags["rack"])
		}
		if !strings.HasPrefix(l.tags["datacenter"], l.tags["region"]) {
			t.Fatalf("%s is not in %s", l.tags["datacenter"], l.tags["region"])
		}
	}
	domains, met := domainsOf(sample), domainsOf(many)
	for key, domain := range domains {
		if key == "hostname" || key == "rack" {
			continue // the sample shows 100 of the one and two thirds of the other
		}
		if got, want := keysOf(met[key]), keysOf(domain); !slices.Equal(got, want) {
			t.Errorf("%s takes %v, in the sample %v", key, got, want)
		}
	}
	for value := range domains["rack"] {
		if !met["rack"][value] {
			t.Errorf("rack %s never occurs", value)
		}
	}
}

// domainsOf returns the values of each tag.
func domainsOf(lines []parsed) map[string]map[string]bool {
	domains := make(map[string]map[string]bool)
	for _, l := range lines {
		for key, value := range l.tags {
			if domains[key] == nil {
				domains[key] = make(map[string]bool)
			}
			domains[key][value] = true
		}
	}
	return domains
}

func keysOf(set map[string]bool) []string {
	var keys []string
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func checkLengths(t *testing.T, sample, ours []parsed) {
	length := func(l parsed) float64 { return float64(l.size) }
	want, got := statistics(sample, length), statistics(ours, length)
	if math.Abs(got.mean/want.mean-1) > 0.02 {
		t.Errorf("a line has %.1f bytes on average, in the sample %.1f", got.mean, want.mean)
	}
	if math.Abs(got.deviation/want.deviation-1) > 0.3 {
		t.Errorf("the deviation of the length is %.2f bytes, in the sample %.2f", got.deviation, want.deviation)
	}
}

func checkValues(t *testing.T, sample, ours []parsed) {
	for f, name := range Fields {
		walk := func(lines []parsed) (levels, steps moments) {
			levels = statistics(lines, func(l parsed) float64 { return float64(l.values[f]) })
			var differences []float64
			for i := 100; i < len(lines); i++ {
				differences = append(differences, float64(lines[i].values[f]-lines[i-100].values[f]))
			}
			return levels, statistics(differences, func(d float64) float64 { return d })
		}
		wantLevels, wantSteps := walk(sample)
		levels, steps := walk(ours)
		if levels.lowest != 0 || levels.highest != maxValue {
			t.Errorf("%s goes from %g to %g, not from 0 to %d", name, levels.lowest, levels.highest, maxValue)
		}
		if math.Abs(levels.mean-wantLevels.mean) > 12 || math.Abs(levels.deviation-wantLevels.deviation) > 6 {
			t.Errorf("%s is %.1f±%.1f, in the sample %.1f±%.1f", name, levels.mean, levels.deviation, wantLevels.mean, wantLevels.deviation)
		}
		if math.Abs(steps.mean-wantSteps.mean) > 0.05 || math.Abs(steps.deviation-wantSteps.deviation) > 0.05 {
			t.Errorf("%s steps by %.3f±%.3f, in the sample %.3f±%.3f", name, steps.mean, steps.deviation, wantSteps.mean, wantSteps.deviation)
		}
	}
}

type moments struct{ mean, deviation, lowest, highest float64 }

func statistics[T any](of []T, value func(T) float64) moments {
	m := moments{lowest: math.Inf(1), highest: math.Inf(-1)}
	var sum, squares float64
	for _, e := range of {
		v := value(e)
		sum += v
		squares += v * v
		m.lowest, m.highest = min(m.lowest, v), max(m.highest, v)
	}
	n := float64(len(of))
	m.mean = sum / n
	m.deviation = math.Sqrt(squares/n - m.mean*m.mean)
	return m
}
