package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"

	"github.com/siltstone-db/siltstone/backup"
)

// The client library waits behind the last attempt, too, by the machine's clock.
func init() { minio.DefaultRetryUnit = time.Nanosecond }

// faultyS3 is a store whose requests can be made to fail. It compares what is sent with its SHA-256.
type faultyS3 struct {
	t      *testing.T
	store  http.Handler
	server *httptest.Server
	mu     struct {
		sync.Mutex
		requests int
		fault    func(request int, r *http.Request) s3Fault // nil is none
		asked    []string
		slept    []time.Duration
	}
}

// s3Fault answers instead of the store; nil does not.
type s3Fault func(f *faultyS3, w http.ResponseWriter, r *http.Request)

func newFaultyS3(t *testing.T, options ...gofakes3.Option) *faultyS3 {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	f := &faultyS3{t: t, store: gofakes3.New(backend, options...).Server()}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *faultyS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if sum := sha256.Sum256(body); len(body) > 0 && r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		f.t.Errorf("%s %s is signed with %s", r.Method, r.URL, r.Header.Get("X-Amz-Content-Sha256"))
	}
	f.mu.Lock()
	f.mu.requests++
	f.mu.asked = append(f.mu.asked, r.Method+" "+r.URL.String())
	var fault s3Fault
	if f.mu.fault != nil {
		fault = f.mu.fault(f.mu.requests-1, r)
	}
	f.mu.Unlock()
	if fault != nil {
		fault(f, w, r)
		return
	}
	f.store.ServeHTTP(w, r)
}

// fail sets what fails, and begins to count requests.
func (f *faultyS3) fail(fault func(request int, r *http.Request) s3Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.requests, f.mu.fault, f.mu.asked, f.mu.slept = 0, fault, nil, nil
}

func (f *faultyS3) slept() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.slept
}

func (f *faultyS3) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.asked
}

// open opens a place in the store, by a clock that does not wait.
func (f *faultyS3) open(place string) backup.Store {
	f.t.Helper()
	s, err := backup.OpenStore(place, backup.S3Options{
		Endpoint: f.server.URL, Region: "eu-central-1", AccessKey: "key", SecretKey: "hush",
		Sleep: func(ctx context.Context, d time.Duration) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.mu.slept = append(f.mu.slept, d)
			return ctx.Err()
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func answering(status int, code string) s3Fault {
	return func(_ *faultyS3, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if code != "" {
			fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>this is a test</Message></Error>`, code)
		}
	}
}

// hangUp breaks the connection without an answer.
func hangUp(*faultyS3, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// loseAnswer does what is asked for, and breaks the connection in the middle of the answer.
func loseAnswer(f *faultyS3, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	f.store.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(answer.Body.Len()))
	if answer.Body.Len() > 1 {
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

var passingFaults = map[string]s3Fault{
	"503 SlowDown": answering(http.StatusServiceUnavailable, "SlowDown"), "500": answering(http.StatusInternalServerError, ""),
	"429": answering(http.StatusTooManyRequests, ""), "hung up": hangUp, "answer lost": loseAnswer,
}

const s3Place = "s3://bucket/backups"

// TestFaultsOfS3Pass fails each request of a backup, its verification and its restore once in turn, in each
// way: all succeed, and what is there is right.
func TestFaultsOfS3Pass(t *testing.T) {
	for name, fault := range passingFaults {
		t.Run(name, func(t *testing.T) {
			f := newFaultyS3(t)
			src := newSource(t)
			src.write("a v=1 1", "b v=1 1")
			for n := 0; ; n++ {
				s := f.open(fmt.Sprintf("s3://bucket/%d", n))
				failed := ""
				f.fail(func(request int, r *http.Request) s3Fault {
					if request != n {
						return nil
					}
					failed = r.Method + " " + r.URL.String()
					return fault
				})
				m := src.backUp(s)
				if r := mustVerify(t, s); len(r.Damage) > 0 || r.Backups != 1 {
					t.Errorf("%s failed: %+v", failed, r)
				}
				mustRestore(t, s, m.ID, map[string]uint64{"a": 1, "b": 1})
				if failed == "" {
					break
				}
				if isAnswer := name[0] >= '0' && name[0] <= '9'; len(f.slept()) > 1 || len(f.slept()) == 0 && isAnswer { // net/http repeats others itself
					t.Errorf("%s failed, and the pauses were %v", failed, f.slept())
				}
			}
		})
	}
}

// TestStoreThatStaysIllEndsABackup fails all requests from one on: the error names the object, no more is asked
// than some times, there is no backup, and the next one is right.
func TestStoreThatStaysIllEndsABackup(t *testing.T) {
	src := newSource(t)
	src.write("a v=1 1", "b v=1 1")
	f := newFaultyS3(t)
	for n := 0; ; n++ {
		s := f.open(fmt.Sprintf("s3://bucket/%d", n))
		f.fail(func(request int, _ *http.Request) s3Fault {
			if request < n {
				return nil
			}
			return passingFaults["503 SlowDown"]
		})
		_, err := backup.Create(context.Background(), backup.CreateOptions{Store: s, Connect: src.connect(nil)})
		if err == nil {
			break
		}
		text, waited := err.Error(), time.Duration(0)
		for _, d := range f.slept() {
			waited += d
		}
		if !strings.Contains(text, s.String()+"/") || !strings.Contains(text, "SlowDown, 8 times") || !strings.Contains(text, "run the command again") ||
			len(f.slept()) != 7 || waited < 8*time.Second || waited > time.Minute {
			t.Errorf("after %d requests: %v, pauses %v", n, err, f.slept())
		}
		f.fail(nil)
		all, damaged, err := backup.List(context.Background(), s)
		if err != nil && !errors.Is(err, backup.ErrNoRepository) || len(all)+len(damaged) > 0 {
			t.Errorf("there is %v, %v, %v", all, damaged, err)
		}
		mustRestore(t, s, src.backUp(s).ID, map[string]uint64{"a": 1, "b": 1})
	}
}

// TestErrorsOfS3SayWhatHelps and are not repeated.
func TestErrorsOfS3SayWhatHelps(t *testing.T) {
	for code, c := range map[string]struct {
		status int
		want   string
	}{
		"InvalidAccessKeyId":           {http.StatusForbidden, "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"},
		"SignatureDoesNotMatch":        {http.StatusForbidden, "AWS_SECRET_ACCESS_KEY"},
		"AccessDenied":                 {http.StatusForbidden, "must be allowed to read, write and list in bucket"},
		"AuthorizationHeaderMalformed": {http.StatusBadRequest, "set AWS_REGION"},
		"RequestTimeTooSkewed":         {http.StatusForbidden, "clock of this machine"},
		"XMinioStorageFull":            {http.StatusInsufficientStorage, "the store is full"},
	} {
		f := newFaultyS3(t)
		f.fail(func(_ int, r *http.Request) s3Fault {
			if r.Method == http.MethodPut {
				return answering(c.status, code)
			}
			return nil
		})
		s := f.open(s3Place)
		src := newSource(t)
		src.write("a v=1 1")
		_, err := backup.Create(context.Background(), backup.CreateOptions{Store: s, Connect: src.connect(nil)})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s3Place+"/siltstone-backup.json") || strings.Contains(err.Error(), "hush") || len(f.slept()) > 0 {
			t.Errorf("%s: %v, pauses %v", code, err, f.slept())
		}
	}
	f := newFaultyS3(t)
	if _, err := backup.Verify(context.Background(), backup.VerifyOptions{Store: f.open("s3://nowhere/x")}); err == nil || !strings.Contains(err.Error(), "make the bucket nowhere first") {
		t.Errorf("a bucket that is missing: %v", err)
	}
	f.server.Close()
	if _, _, err := backup.List(context.Background(), f.open(s3Place)); err == nil || !strings.Contains(err.Error(), "look at AWS_ENDPOINT_URL, which is "+f.server.URL) || len(f.slept()) > 0 {
		t.Errorf("a store that is away: %v, pauses %v", err, f.slept())
	}
}

// TestLargeObjectsGoInParts writes an object of three parts, of which each is refused once, and reads it over
// connections that break.
func TestLargeObjectsGoInParts(t *testing.T) {
	f, ctx := newFaultyS3(t), context.Background()
	s := f.open(s3Place)
	whole := make([]byte, 33<<20)
	for i, rng := 0, rand.New(rand.NewPCG(1, 2)); i < len(whole); i += 1 << 10 {
		whole[i] = byte(rng.Uint32())
	}
	failed := make(map[string]bool)
	f.fail(func(_ int, r *http.Request) s3Fault {
		request := r.Method + r.URL.String()
		if failed[request] {
			return nil
		}
		failed[request] = true
		if r.Method == http.MethodPost && strings.Contains(request, "uploadId") {
			return loseAnswer
		}
		return passingFaults["503 SlowDown"]
	})
	if err := s.Put(ctx, "large", int64(len(whole)), bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	if n := len(f.slept()); n != 6 { // begin, three parts, complete, look whether it is
		t.Errorf("%d pauses: %q", n, f.asked())
	}
	cuts := 0
	f.fail(func(request int, _ *http.Request) s3Fault {
		if request < 6 {
			cuts++
			return loseAnswer
		}
		return nil
	})
	in, err := s.Get(ctx, "large")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(in)
	if err = errors.Join(err, in.Close()); err != nil || !bytes.Equal(got, whole) || cuts != 6 {
		t.Errorf("read %d bytes over %d cut connections: %v", len(got), cuts, err)
	}

	f.fail(func(request int, r *http.Request) s3Fault {
		if strings.Contains(r.URL.RawQuery, "partNumber=3") {
			return answering(http.StatusForbidden, "AccessDenied")
		}
		return nil
	})
	err = s.Put(ctx, "other", int64(len(whole)), bytes.NewReader(whole))
	if err == nil || !strings.Contains(err.Error(), "writing part 3 of "+s3Place+"/other") {
		t.Errorf("a part that is refused: %v", err)
	}
	if asked := f.asked(); !strings.HasPrefix(asked[len(asked)-1], "DELETE ") {
		t.Errorf("the parts stay: %q", asked)
	}
	for what, size := range map[string]int64{"short": int64(len(whole)) + 1, "long": int64(len(whole)) - 1} {
		if err := s.Put(ctx, "other", size, bytes.NewReader(whole)); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("what is too %s is written with %v", what, err)
		}
	}
	if _, err := s.Get(ctx, "other"); !errors.Is(err, backup.ErrNoObject) {
		t.Errorf("there is something of what failed: %v", err)
	}
}

// TestAnObjectThatChangesIsNotRead: what is left behind a broken connection is of the same object, or an error.
func TestAnObjectThatChangesIsNotRead(t *testing.T) {
	f, ctx := newFaultyS3(t), context.Background()
	s := f.open(s3Place)
	for _, other := range []string{"othertext", "longer than before"} {
		if err := s.Put(ctx, "x", 9, strings.NewReader("some text")); err != nil {
			t.Fatal(err)
		}
		f.fail(func(request int, _ *http.Request) s3Fault {
			if request == 0 {
				return loseAnswer
			}
			return nil
		})
		in, err := s.Get(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(ctx, "x", int64(len(other)), strings.NewReader(other)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err == nil || errors.Join(in.Close()) != nil {
			t.Errorf("read %q", got)
		}
		f.fail(nil)
	}
}

// TestPruneGivesUpOldParts of an upload that somebody began, and who was killed.
func TestPruneGivesUpOldParts(t *testing.T) {
	for age, want := range map[time.Duration]int{25 * time.Hour: 1, time.Hour: 0} {
		f := newFaultyS3(t, gofakes3.WithTimeSource(gofakes3.FixedTimeSource(time.Now().Add(-age))), gofakes3.WithTimeSkewLimit(0))
		s, ctx := f.open(s3Place), context.Background()
		src := newSource(t)
		src.write("a v=1 1")
		src.backUp(s)
		f.fail(func(_ int, r *http.Request) s3Fault {
			if r.Method == http.MethodDelete || strings.Contains(r.URL.RawQuery, "partNumber=2") {
				return answering(http.StatusForbidden, "AccessDenied")
			}
			return nil
		})
		if err := s.Put(ctx, "files/large", 20<<20, io.LimitReader(zeros{}, 20<<20)); err == nil {
			t.Fatal("it is written")
		}
		f.fail(nil)
		if _, err := backup.Prune(ctx, s, 1); err != nil {
			t.Fatal(err)
		}
		given := 0
		for _, asked := range f.asked() {
			if strings.HasPrefix(asked, "DELETE ") && strings.Contains(asked, "uploadId=") {
				given++
			}
		}
		if given != want {
			t.Errorf("of parts that are %s old %d uploads were given up: %q", age, given, f.asked())
		}
		mustRestore(t, s, "", map[string]uint64{"a": 1})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestBytesThatChangeOnTheWayAreFound flips a byte of each object that is read.
func TestBytesThatChangeOnTheWayAreFound(t *testing.T) {
	f := newFaultyS3(t)
	s := f.open(s3Place)
	src := newSource(t)
	src.write("a v=1 1")
	src.backUp(s)
	for _, dir := range []string{"/files/", "/catalogs/", "/backups/20"} {
		flipped := 0
		f.fail(func(_ int, r *http.Request) s3Fault {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, dir) {
				return nil
			}
			flipped++
			return func(f *faultyS3, w http.ResponseWriter, r *http.Request) {
				f.store.ServeHTTP(flippedAnswer{w}, r)
			}
		})
		fs := vfs.NewMem()
		if _, _, err := backup.Restore(context.Background(), backup.RestoreOptions{Store: s, DataDir: "data", FS: fs}); !errors.Is(err, backup.ErrDamaged) || flipped == 0 {
			t.Errorf("%s: restored with %v", dir, err)
		}
		if _, err := fs.Stat("data"); err == nil {
			t.Errorf("%s: there is a directory", dir)
		}
		if r := mustVerify(t, s); len(r.Damage) != 1 {
			t.Errorf("%s: verify finds %+v", dir, r)
		}
	}
}

// flippedAnswer changes a byte of what is answered.
type flippedAnswer struct{ http.ResponseWriter }

func (w flippedAnswer) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return w.ResponseWriter.Write(b)
}
