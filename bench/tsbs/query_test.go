package tsbs

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var dayOf400 = Config{Hosts: 400, Duration: 24 * time.Hour}

func TestInstancesAreTheSameEachTime(t *testing.T) {
	for _, shape := range Shapes {
		first, err := shape.Instances(dayOf400, 5)
		if err != nil {
			t.Fatal(err)
		}
		again, err := shape.Instances(dayOf400, 5)
		if err != nil {
			t.Fatal(err)
		}
		for i := range first {
			if first[i] != again[i] {
				t.Errorf("%s: instance %d is %q, then %q", shape.Name, i, first[i].SQL, again[i].SQL)
			}
		}
	}
}

var literalPattern = regexp.MustCompile(`TIMESTAMP '([^']*)'`)

func TestWindowsLieWithinTheData(t *testing.T) {
	config := dayOf400
	config.EnsureDefaults()
	for _, shape := range Shapes {
		queries, err := shape.Instances(config, 50)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			for _, match := range literalPattern.FindAllStringSubmatch(q.SQL, -1) {
				at, err := time.Parse(time.DateTime, match[1])
				if err != nil {
					t.Fatal(err)
				}
				if at.Before(config.Start) || at.After(config.End()) {
					t.Errorf("%s asks for %s, the data span %s to %s", shape.Name, at, config.Start, config.End())
				}
			}
		}
	}
}

var hostPattern = regexp.MustCompile(`host_\d+`)

func TestShapesAskForAsManyHostsAsTheirNamesSay(t *testing.T) {
	want := map[string]int{
		"single-groupby-1-1-1": 1, "single-groupby-1-1-12": 1, "single-groupby-5-8-1": 8,
		"cpu-max-all-8": 8, "high-cpu-1": 1,
	}
	for _, shape := range Shapes {
		queries, err := shape.Instances(dayOf400, 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			hosts := make(map[string]bool)
			for _, h := range hostPattern.FindAllString(q.SQL, -1) {
				hosts[h] = true
			}
			if len(hosts) != want[shape.Name] {
				t.Errorf("%s asks for %d hosts, want %d: %s", shape.Name, len(hosts), want[shape.Name], q.SQL)
			}
		}
	}
}

func TestQueriesNeedEnoughData(t *testing.T) {
	for _, config := range []Config{{Hosts: 7, Duration: 24 * time.Hour}, {Hosts: 400, Duration: 12 * time.Hour}, {Hosts: -1}} {
		if _, err := Shapes[0].Instances(config, 1); err == nil {
			t.Errorf("%d hosts for %s are enough", config.Hosts, config.Duration)
		}
	}
	if _, err := Shapes[0].Instances(Config{Hosts: 3}, 1); err == nil || !strings.Contains(err.Error(), "12h") {
		t.Errorf("the error does not say what is needed: %v", err)
	}
}

// TestDialectsAskForTheSame counts what a question names in each dialect.
func TestDialectsAskForTheSame(t *testing.T) {
	year := regexp.MustCompile(`2016-01-0[12].\d\d:\d\d:\d\d`)
	for _, shape := range Shapes {
		queries, err := shape.Instances(dayOf400, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			for dialect, text := range map[string]string{"QuestDB": q.QuestDB, "InfluxQL": q.InfluxQL, "ClickHouse": q.ClickHouse} {
				if text == "" && shape.Name == "lastpoint-join" {
					continue
				}
				for what, pattern := range map[string]*regexp.Regexp{"hosts": hostPattern, "fields": regexp.MustCompile(`\(usage_`)} {
					if got, want := len(pattern.FindAllString(text, -1)), len(pattern.FindAllString(q.SQL, -1)); got != want {
						t.Errorf("%s in %s has %d %s, want %d: %s", shape.Name, dialect, got, what, want, text)
					}
				}
				got, want := year.FindAllString(text, -1), year.FindAllString(q.SQL, -1)
				for i := range want {
					if len(got) != len(want) || got[i][11:] != want[i][11:] || got[i][:10] != want[i][:10] {
						t.Errorf("%s in %s asks for %v, want %v", shape.Name, dialect, got, want)
						break
					}
				}
			}
		}
	}
}
