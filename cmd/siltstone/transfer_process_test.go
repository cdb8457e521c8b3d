package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/lineprotocol"
)

// awkward are points with everything that is hard to write: names with escapes, columns that
// differ in case only, null beside empty text, the ends of every type.
const awkward = `m\ x\,y,a\ b=c\=d,B=\ü V=1,v=2i,u=18446744073709551615u,s="",t=true 9223372036854775806
m\ x\,y,b=q v=-9223372036854775808i,s="a, \"b\" \\ c` + "\n" + `d",f=false -9223286400000000000
m\ x\,y V=-0 1
m\ x\,y V=1.7976931348623157e308,u=0u 2
x\=y/../z,t==,# v=5e-324 0
.hidden s="#no comment" 1500000000000000000
`

// command runs siltstone against a server and fails when it does.
func (p *process) command(args ...string) result {
	p.t.Helper()
	r := finish(p.t, siltstone(p.t, append(args, "--host", p.host)...), "")
	if r.code != 0 {
		p.t.Fatalf("%s: %+v", args, r)
	}
	return r
}

// randomNames have what names may hold: spaces, what is escaped, quotes, letters of other scripts.
var randomNames = []string{"plain", "with space", "a,b", "c=d", `q"'#`, "Ünïcödé", "日本語", "emoji😀", "UPPER", "upper", "100%"}

// randomLines are points of three tables that have their tags and fields in common, of every type: in any order of time, often
// of a point that was before. rows holds what tells a row apart.
func randomLines(rng *rand.Rand, n int, rows map[string]bool) string {
	var out []byte
	for range n {
		begin := len(out)
		out = lineprotocol.AppendMeasurement(out, "random "+randomNames[rng.IntN(3)])
		for i, tag := range randomNames[:4] {
			if rng.IntN(3) == 0 {
				out = lineprotocol.AppendKey(append(out, ','), "tag "+tag)
				out = lineprotocol.AppendKey(append(out, '='), randomNames[2*i+rng.IntN(3)])
			}
		}
		series := string(out[begin:])
		at := rng.Int64N(20) * 1e17
		rows[fmt.Sprint(series, " ", at)] = true
		out = fmt.Appendf(out, " n=%di", []int64{rng.Int64(), -rng.Int64(), math.MinInt64, math.MaxInt64}[rng.IntN(4)])
		for i, value := range []func() string{
			func() string {
				return strconv.FormatFloat((rng.Float64()-0.5)*math.Pow(10, float64(rng.IntN(600)-300)), 'g', -1, 64)
			},
			func() string { return strconv.FormatUint(rng.Uint64(), 10) + "u" },
			func() string { return strconv.FormatBool(rng.IntN(2) == 0) },
			func() string {
				texts := []string{"", " ", "\r\n", "\t\"quoted\"\\", "a,b;c=d", "null", "NaN", "日本語", "#datatype", `\`}
				return string(lineprotocol.AppendString(nil, texts[rng.IntN(len(texts))]))
			},
		} {
			if rng.IntN(3) > 0 {
				out = append(lineprotocol.AppendKey(append(out, ','), randomNames[i]), '=')
				out = append(out, value()...)
			}
		}
		out = fmt.Appendf(out, " %d\n", at)
	}
	return string(out)
}

// TestExportsReadBack: every format, in one file and in many, as it is and compressed, gives
// the same rows and types in another database. So do random rows, some of which are in files
// and some in memory.
func TestExportsReadBack(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	seed, rows := rand.Uint64(), make(map[string]bool)
	t.Logf("drawn from seed %d: put it in the place of rand.Uint64() to see the same rows", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 3 {
		if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "--precision", "ns"), randomLines(rng, 300, rows)); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		p.command("flush")
	}
	text := strings.Replace(awkward, "t==,#", "t\\==\\=", 1) + randomLines(rng, 300, rows)
	if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "--precision", "ns"), text); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	contents := func(db string) string {
		t.Helper()
		types := p.command("query", "-d", db, "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox' ORDER BY ALL").out
		lines := strings.Split(p.command("export", "-d", db, "--all", "--format", "csv", "-q").out, "\n")
		slices.Sort(lines) // rows come in any order
		return types + strings.Join(lines, "\n")
	}
	want := contents("db")
	if n := strings.Count("\n"+p.command("export", "-d", "db", "--all", "-q").out, "\nrandom\\ "); n != len(rows) {
		t.Errorf("the database has %d random rows, not %d", n, len(rows))
	}
	for i, c := range []struct{ to, format string }{
		{"all.lp", ""}, {"all.lp.gz", ""}, {"all.csv", ""}, {"all.csv.zst", ""}, {"lp/", ""}, {"csv/", "csv"}, {"parquet/", "parquet"},
	} {
		to := filepath.Join(t.TempDir(), "out", c.to)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(c.to, "/") {
			to += "/"
		}
		p.command("export", "-d", "db", "--all", "--to", to, "--format", c.format)
		files := []string{to}
		if strings.HasSuffix(c.to, "/") {
			entries, err := os.ReadDir(to)
			if err != nil || len(entries) != 6 {
				t.Fatalf("%s: %v, %v", c.to, entries, err)
			}
			files = nil
			for _, e := range entries {
				files = append(files, filepath.Join(to, e.Name()))
			}
		}
		copied := "copy" + string(rune('0'+i))
		for range 2 { // a second time changes nothing
			p.command(append([]string{"import", "-d", copied}, files...)...)
		}
		if got := contents(copied); got != want {
			t.Errorf("%s reads back as\n%s\nshould be\n%s", c.to, got, want)
		}
	}
}

func TestExportIsLimitedToATimeRange(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	lines := "m v=1 1767225599999999999\nm v=2 1767225600000000000\nm v=3 1767311999999999999\nm v=4 1767312000000000000\n"
	if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", "db", "--precision", "ns"), lines); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	got := p.command("export", "-d", "db", "-t", "m", "--start", "2026-01-01", "--stop", "2026-01-02T00:00:00Z")
	if want := strings.Join(strings.SplitAfter(lines, "\n")[1:3], ""); got.out != want || !strings.Contains(got.errors, "m: 2 rows in") {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct{ args, want string }{
		{"-t nothing", `table "nothing": there is none in database "db"`},
		{"--all -t m", "--table and --all can't be used together"},
		{"", "missing flags"},
		{"--all --start soon", "is not a time such as"},
		{"-t m -t n --format parquet", "a Parquet file holds one table"},
		{"-t m --format parquet --compress gzip", "--compress is not for Parquet"},
	} {
		r := finish(t, siltstone(t, append([]string{"export", "--host", p.host, "-d", "db"}, strings.Fields(c.args)...)...), "")
		if r.code == 0 || !strings.Contains(r.errors, c.want) {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
}

// TestImportNamesWhatIsWrong by the line or row of the file.
func TestImportNamesWhatIsWrong(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	csv := write("r.csv", "time,room,temp\n1,hall,21\n2,hall,cold\n3,hall,22\n4,hall\n")
	r := finish(t, siltstone(t, "import", "--host", p.host, "-d", "db", "--table", "r", "--tag-columns", "room", csv), "")
	if r.code != 1 || !strings.Contains(r.errors, csv+":3: invalid column type for column 'temp'") || !strings.Contains(r.errors, csv+":5: the row has 2 fields, the header 3") ||
		!strings.Contains(r.errors, "2 points accepted, 2 rejected") {
		t.Errorf("CSV: %+v", r)
	}
	dump := write("dump", "# DDL\nCREATE DATABASE a WITH NAME autogen\n# DML\n# CONTEXT-DATABASE:a\n# CONTEXT-RETENTION-POLICY:autogen\n# writing tsm data\n"+
		"m v=1 1\nm v=x 2\n# CONTEXT-DATABASE:a\n# CONTEXT-RETENTION-POLICY:week\nm v=3 3\nm v= 4\n")
	r = finish(t, siltstone(t, "import", "--host", p.host, dump), "")
	if r.code != 1 || !strings.Contains(r.errors, dump+":8: ") || !strings.Contains(r.errors, dump+":12: ") || !strings.Contains(r.errors, "2 points accepted, 2 rejected") {
		t.Errorf("dump: %+v", r)
	}
	for db, want := range map[string]string{"a": "m v=1 1\n", "a/week": "m v=3 3\n"} {
		if got := p.command("export", "-d", db, "-t", "m").out; got != want {
			t.Errorf("%s: %q", db, got)
		}
	}
	for _, c := range []struct{ args, want string }{
		{write("plain.lp", "m v=1 1\n"), "name the database with -d"},
		{"-d db --no-tags --tag-columns a x.csv", "leave out one of them"},
		{"-d db --delimiter ;; x.csv", "is not one character"},
		{"-d db --types a:complex x.csv", "is not a type"},
		{"-d db --format parquet -", "not standard input"},
		{"-d db " + write("bad.parquet", "PAR1"), "no Parquet file"},
		{"-d db " + filepath.Join(dir, "missing"), "no such file"},
		{"-d x " + write("two", "# CONTEXT-DATABASE:a\nm v=1 1\n# CONTEXT-DATABASE:b\nm v=1 1\n"), `line 4: the dump holds database "b" besides "a"`},
	} {
		r := finish(t, siltstone(t, append([]string{"import", "--host", p.host}, strings.Fields(c.args)...)...), "")
		if r.code == 0 || !strings.Contains(r.errors, c.want) {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
}

// TestCopyFromInfluxDBGoesOnWhereItWas: Siltstone answers as InfluxDB 1 does, and so can be
// copied from. What was copied is noted, and only what came later is copied then.
func TestCopyFromInfluxDBGoesOnWhereItWas(t *testing.T) {
	p := serve(t, "--object-store", "memory")
	write := func(db, lines string) {
		t.Helper()
		if r := finish(t, siltstone(t, "write", "--host", p.host, "-d", db, "--precision", "ns", "-q"), lines); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	}
	write("db", strings.Replace(awkward, "t==,#", "t\\==\\=", 1))
	write("db/week", "m v=1 1\nm v=2 100000000000000000\n")
	notes := filepath.Join(t.TempDir(), "notes.json")
	again := []string{"import", "influxdb", "--url", p.host, "--v1-database", "db", "-d", "copy", "--resume", notes}
	p.command(again...)
	for _, rp := range []string{"", "/week"} {
		export := func(db string) []string {
			lines := strings.Split(p.command("export", "-d", db+rp, "--all", "-q").out, "\n")
			slices.Sort(lines)
			return lines
		}
		if want, got := export("db"), export("copy"); !slices.Equal(got, want) {
			t.Errorf("%q is copied as %q", want, got)
		}
	}
	if r := p.command(again...); !strings.Contains(r.errors, "db.week.m: 0 points accepted") {
		t.Errorf("a second copy: %+v", r)
	}
	write("db/week", "m v=3 200000000000000000\n")
	if r := p.command(again...); !strings.Contains(r.errors, "db.week.m: 1 points accepted") || strings.Contains(r.errors, " 2 points") {
		t.Errorf("a third copy: %+v", r)
	}
	for _, c := range []struct{ args, want string }{
		{"--url ftp://x", "is not a URL"},
		{"--url http://127.0.0.1:1", "no answer from InfluxDB"},
		{"--url " + p.host + " --v1-database nothing", `database "nothing" of InfluxDB: `},
		{"--url " + p.host + " -d one", "-d names one database"},
		{"--url " + p.host + " --resume " + os.Args[0], "is not what a copy has noted"},
		{"--url " + p.host + " --v1-database a --v3-database b", "leave out one of them"},
		{"--url " + p.host + " --v3-database a,b -d one", "-d names one database"},
	} {
		r := finish(t, siltstone(t, append([]string{"import", "influxdb", "--host", p.host}, strings.Fields(c.args)...)...), "")
		if r.code == 0 || !strings.Contains(r.errors, c.want) {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
}

// TestCopyFromInfluxDB3: Siltstone answers as InfluxDB 3 does, in SQL. Rows of sparse decades and of a dense second, and of
// every type, are copied; what was copied is noted. The source asks for a token, which goes to it alone.
func TestCopyFromInfluxDB3(t *testing.T) {
	from, p := serve(t, "--object-store", "memory"), serve(t, "--object-store", "memory")
	token := strings.TrimSpace(from.command("create", "token", "--admin").out)
	t.Setenv("SILTSTONE_INFLUXDB_TOKEN", token)
	write := func(lines string) {
		t.Helper()
		if r := finish(t, siltstone(t, "write", "--host", from.host, "--token", token, "-d", "db", "--precision", "ns", "-q"), lines); r.code != 0 {
			t.Fatalf("%+v", r)
		}
	}
	var dense strings.Builder
	for n := range 3000 {
		fmt.Fprintf(&dense, "dense,k=%d v=%di %d\n", n%3, n, 1_600_000_000_000_000_000+n*300)
	}
	write(strings.Replace(awkward, "t==,#", "t\\==\\=", 1) + dense.String() + "no\\ tags v=1 -1\nno\\ tags v=2 1500000000000000000\n")
	notes := filepath.Join(t.TempDir(), "notes.json")
	again := []string{"import", "influxdb", "--url", from.host, "--v3-database", "db", "-d", "copy", "--resume", notes}
	p.command(again...)
	rows := func(p *process, db, token string) []string {
		t.Helper()
		lines := strings.Split(p.command("export", "-d", db, "--all", "--format", "csv", "-q", "--token", token).out, "\n")
		slices.Sort(lines)
		return lines
	}
	if want, got := rows(from, "db", token), rows(p, "copy", ""); !slices.Equal(got, want) {
		t.Errorf("%q is copied as %q", want, got)
	}
	write("dense,k=9 v=9i 1700000000000000000\n")
	if r := p.command(again...); !strings.Contains(r.errors, "db.dense: 1 points accepted") || strings.Contains(r.errors, "db.no tags: 1 ") {
		t.Errorf("a second copy: %+v", r)
	}
	// InfluxDB 2 takes the same token for InfluxQL.
	p.command("import", "influxdb", "--url", from.host, "--v1-database", "db", "-d", "copy2", "-q")
	if want, got := rows(from, "db", token), rows(p, "copy2", ""); !slices.Equal(got, want) {
		t.Errorf("%q is copied in InfluxQL as %q", want, got)
	}
	t.Setenv("SILTSTONE_INFLUXDB_TOKEN", "wrong")
	if r := finish(t, siltstone(t, append(again, "--host", p.host)...), ""); r.code == 0 || !strings.Contains(r.errors, "InfluxDB answered 401") || strings.Contains(r.errors, "wrong") {
		t.Errorf("a wrong token: %+v", r)
	}
}
