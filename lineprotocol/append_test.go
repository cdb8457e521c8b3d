package lineprotocol

import (
	"testing"

	"pgregory.net/rapid"
)

// TestAppendedTextReadsBack as it was meant.
func TestAppendedTextReadsBack(t *testing.T) {
	name := rapid.StringMatching(`[a-z ,="é\\]{0,7}[a-z ,="é]`)
	text := rapid.StringMatching(`[a-z ,="\\é\n]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		measurement, key, value, field, s := name.Draw(t, "measurement"), name.Draw(t, "key"), name.Draw(t, "value"), name.Draw(t, "field"), text.Draw(t, "text")
		line := AppendKey(append(AppendMeasurement(nil, measurement), ','), key)
		line = AppendKey(append(line, '='), value)
		line = AppendKey(append(line, ' '), field)
		line = AppendString(append(line, '='), s)
		var r Reader
		var series Series
		var v Value
		r.Reset(line)
		r.Next()
		raw, err := r.Series()
		if err == nil {
			err = r.ParseSeries(raw, &series)
		}
		if err != nil || string(series.Measurement) != measurement || len(series.Tags) != 1 || string(series.Tags[0].Key) != key || string(series.Tags[0].Value) != value {
			t.Fatalf("%q: series %q %q, %v", line, series.Measurement, series.Tags, err)
		}
		got, _, err := r.Key()
		if err != nil || string(got) != field {
			t.Fatalf("%q: field %q, %v", line, got, err)
		}
		if err := r.Value(&v, got); err != nil || string(v.Text) != s {
			t.Fatalf("%q: text %q, %v", line, v.Text, err)
		}
	})
}
