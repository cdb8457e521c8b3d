package lineprotocol

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/internal/datasets"
	"github.com/siltstone-db/siltstone/schema"
)

func TestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	const tooLongKey = "Measurement and tags, or a field key, are longer than 65535 bytes"
	for _, c := range []struct{ name, body, want string }{
		{"series at the limit", "m,t=" + long(MaxKeyBytes-4) + " v=1", ""},
		{"series beyond the limit", "m,t=" + long(MaxKeyBytes-3) + " v=1", "1:1 " + tooLongKey},
		{"field key at the limit", "m " + long(MaxKeyBytes) + "=1", ""},
		{"field key beyond the limit", "m " + long(MaxKeyBytes+1) + "=1", "1:3 " + tooLongKey},
		{"string at the limit", `m v="` + long(MaxStringBytes) + `"`, ""},
		{"string beyond the limit", `m v="` + long(MaxStringBytes+1) + `"`, "1:5 String is greater than 64KB"},
		{"error text", "m v=" + long(1000), "1:5 Unable to parse field value `" + long(maxErrorValue) + "`: strings need double quotes, integers end in i or u, booleans are true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			points, errs := readAll([]byte(c.body + "\nnext v=1"))
			if got := strings.Join(describe(nil, errs), "\n"); got != c.want {
				t.Errorf("got %.200q, want %.200q", got, c.want)
			}
			if last := points[len(points)-1]; last.line != 2 || last.measurement != "next" {
				t.Errorf("the line behind came out as %.200q", last)
			}
		})
	}
}

// TestManyTags covers both ways of looking for duplicates.
func TestManyTags(t *testing.T) {
	for _, n := range []int{2, quadraticTags, quadraticTags + 1, 1000} {
		body := "m"
		for i := range n {
			body += fmt.Sprintf(",k%d=v", i)
		}
		if points, errs := readAll([]byte(body + " v=1")); len(errs) > 0 || len(points[0].tags) != 2*n {
			t.Errorf("%d tags: %v", n, errs)
		}
		_, errs := readAll([]byte(body + ",k1=w v=1"))
		if len(errs) != 1 || errs[0].Kind != DuplicateTag || errs[0].Value != "k1" {
			t.Errorf("%d tags and one again: %v", n, errs)
		}
	}
}

// TestHostileInputStaysLinear reads half a megabyte of what would take minutes if any
// step looked at the rest of the body once for each line or byte (3e11 steps).
func TestHostileInputStaysLinear(t *testing.T) {
	const size = 512 << 10
	for _, c := range []string{
		`"`, `\`, "\n", "a\n", "a", " ", ",", "=", "#", "\r", "\t", "a,", "a=", `="`, `="\`, `\"`, `\=`, "a \n", "a v=\n",
		"a v=\"\n", "a v=\"\\\"\n", "a v=x,s=\"\n", `a v="`, "a v=x,s=\"\" b\n", `a v=x,s=""`, "a v=1 x\n", "a v=1 1\n",
		"a v=1,", "a v=-", "a v=1 1", "a v=9", "m,a=b", "m,a=b,", "a\\\n", "a\tb=", "é", "\xff", "\x00",
		"a v=x,s=\"\ns=\" 1\n", "a v=1i,b=\"\n\"\n",
	} {
		body := []byte(strings.Repeat(c, size/len(c)))
		for _, prefix := range []string{"", "m v=", `m v="`, "m,t=u v=x,"} {
			start := time.Now()
			var r Reader
			var s Series
			r.Reset(append([]byte(prefix), body...))
			for r.Next() {
				readPointOnly(&r, &s)
				r.Raw()
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("%q and then %q: %s", prefix, c, took)
			}
		}
	}
}

// readPointOnly reads one line and keeps nothing of it.
func readPointOnly(r *Reader, s *Series) *Error {
	raw, err := r.Series()
	if err != nil {
		return err
	}
	if err := r.ParseSeries(raw, s); err != nil {
		return err
	}
	var v Value
	for more := true; more; more = r.More() {
		name, _, err := r.Key()
		if err != nil {
			return err
		}
		if err := r.Value(&v, name); err != nil {
			return err
		}
	}
	_, _, err = r.Time()
	return err
}

// TestReadingAllocatesNothing holds L1 for a body with everything in it.
func TestReadingAllocatesNothing(t *testing.T) {
	body := []byte("# comment\n" + `a\ b,t\=1=x\,y,u=v f\ 1=1.5,i=1i,u=2u,l=123456789012345678901234567890,b=t,s="a\"b",n="plain" 1234567890123456789` + "\n" +
		"cpu,a=b v=1e5 99999999999999999\r\n\ncpu v=-9223372036854775808i -9223372036854775808\n")
	var r Reader
	var s Series
	allocs := testing.AllocsPerRun(100, func() {
		r.Reset(body)
		for r.Next() {
			if err := readPointOnly(&r, &s); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestRealDataReadsWithoutErrors reads the bundled sets both ways.
func TestRealDataReadsWithoutErrors(t *testing.T) {
	for _, set := range datasets.All() {
		body, err := set.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		points, errs := readAll(body)
		if len(errs) > 0 || len(points) != set.Points {
			t.Errorf("%s: %d points, %d errors, first %v", set.Name, len(points), len(errs), errs[:min(len(errs), 1)])
		}
		// Predicting the first lines shows as much as predicting all.
		body = body[:bytes.LastIndexByte(body[:256<<10], '\n')]
		var d predictor
		d.readAll(body)
		again, errs := d.readAll(body)
		for i := range again {
			if !again[i].equal(points[i]) {
				t.Fatalf("%s: predicted %s, read %s", set.Name, again[i], points[i])
			}
		}
		if len(errs) > 0 || len(again) == 0 {
			t.Errorf("%s: predicting reads %d points, %d errors", set.Name, len(again), len(errs))
		}
	}
}

// readPredicted reads a body whose series and fields come as they did before.
func readPredicted(r *Reader, body []byte, series []string, keys [][]byte) (lines int) {
	var v Value
	r.Reset(body)
	for ; r.Next(); lines++ {
		if !r.SkipSeries([]byte(series[lines%len(series)])) {
			panic("the series does not come as predicted")
		}
		for _, key := range keys {
			if !r.SkipKey(key) || r.Value(&v, nil) != nil {
				panic("the field does not come as predicted")
			}
			r.More()
		}
		if _, _, err := r.Time(); err != nil {
			panic(err)
		}
	}
	return lines
}

// readExpected reads a body whose series and fields come as they did before, the fields as a whole.
func readExpected(r *Reader, body []byte, series []string, e *Expectation) (lines int) {
	values := make([]uint64, e.Len())
	r.Reset(body)
	for ; r.Next(); lines++ {
		if !r.SkipSeries([]byte(series[lines%len(series)])) {
			panic("the series does not come as predicted")
		}
		n := r.Expected(e, values)
		if n < e.Len() { // near the end
			return lines
		}
		if _, _, err := r.Time(); err != nil {
			panic(err)
		}
	}
	return lines
}

// shape returns the series texts in their cycle and the field keys of a TSBS body.
func shape(body []byte) (series []string, keys [][]byte) {
	var r Reader
	r.Reset(body)
	seen := make(map[string]bool)
	for r.Next() {
		raw, _ := r.Series()
		if seen[string(raw)] {
			break
		}
		seen[string(raw)] = true
		series = append(series, string(raw)+" ")
		keys = keys[:0]
		var v Value
		for more := true; more; more = r.More() {
			_, raw, _ := r.Key()
			keys = append(keys, bytes.Clone(raw))
			r.Value(&v, nil)
		}
	}
	return series, keys
}

func BenchmarkReader(b *testing.B) {
	body, err := datasets.CPU.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	series, keys := shape(body)
	var r Reader
	var s Series
	b.Run("full/tsbs-cpu", func(b *testing.B) {
		benchmarkLines(b, body, func() (lines int) {
			r.Reset(body)
			for ; r.Next(); lines++ {
				if err := readPointOnly(&r, &s); err != nil {
					b.Fatal(err)
				}
			}
			return lines
		})
	})
	b.Run("predicted/tsbs-cpu", func(b *testing.B) {
		benchmarkLines(b, body, func() int { return readPredicted(&r, body, series, keys) })
	})
	var e Expectation
	for _, key := range keys {
		e.Add(key, schema.Int64)
	}
	b.Run("expected/tsbs-cpu", func(b *testing.B) {
		benchmarkLines(b, body, func() int { return readExpected(&r, body, series, &e) })
	})
	floats := floatLines(10_000)
	series, keys = shape(floats)
	e.Reset()
	for _, key := range keys {
		e.Add(key, schema.Float64)
	}
	b.Run("expected/floats", func(b *testing.B) {
		benchmarkLines(b, floats, func() int { return readExpected(&r, floats, series, &e) })
	})
	b.Run("full/floats", func(b *testing.B) {
		benchmarkLines(b, floats, func() (lines int) {
			r.Reset(floats)
			for ; r.Next(); lines++ {
				if err := readPointOnly(&r, &s); err != nil {
					b.Fatal(err)
				}
			}
			return lines
		})
	})
}

func benchmarkLines(b *testing.B, body []byte, read func() int) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	lines := 0
	for b.Loop() {
		lines += read()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(lines), "ns/line")
}

// floatLines makes lines with ten tags and ten floats of two decimals.
func floatLines(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "cpu,hostname=host_%d,region=eu-west-1,rack=%d", i%1000, i%100)
		for f := range 10 {
			fmt.Fprintf(&b, "%cusage_%d=%.2f", ",  "[min(1-min(f, 1), 1)], f, rng.Float64()*100)
		}
		fmt.Fprintf(&b, " %d\n", 1451606400000000000+int64(i)*1e9)
	}
	return b.Bytes()
}
