//go:build duckdb_arrow

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// writersAtOnce is how many clients write while the server is killed.
const writersAtOnce = 8

// moment says when a round's server is killed.
type moment int

const (
	afterAnswer   moment = iota // at once when a certain request was answered
	atAnyTime                   // after a while
	inFlush                     // a while after a flush was asked for
	inPurge                     // a while after a table was deleted together with its rows
	inTimedFlush                // when the flush of --gen1-duration is due
	numberMoments = iota
)

func (m moment) String() string {
	return [...]string{"after an answer", "at any time", "in a flush", "in a purge", "in a timed flush"}[m]
}

// timedFlush is the shortest --gen1-duration.
const timedFlush = time.Second

// plan is one round, drawn from the seed and the round's number.
type plan struct {
	at         moment
	answers    int64         // the number of the answer at which the kill, or the flush, begins
	delay      time.Duration // from there to the kill
	pace       time.Duration // of each writer, between requests
	stillborn  int           // servers that are killed while they start, before this round's
	startDelay time.Duration // from their start to that
	novelties  novelties
	purge      func() // begins a purge; nil where there is nothing to purge
}

func newPlan(rng *rand.Rand, round int) plan {
	p := plan{
		at:        moment(rng.IntN(numberMoments - 1)),
		answers:   1 + rng.Int64N(60),
		delay:     time.Duration(rng.Int64N(int64(40 * time.Millisecond))),
		novelties: novelties{fmt.Sprintf("new%d", round/4%12), fmt.Sprintf("n%d", round/4%25)},
	}
	switch {
	case round%10 == 5: // it takes a second
		p.at, p.answers, p.pace = inTimedFlush, 1, 20*time.Millisecond
		p.delay = timedFlush - 40*time.Millisecond + 3*p.delay
	case p.at == afterAnswer:
		p.delay = 0
	case p.at == inPurge:
		p.delay /= 4
	case p.at == inFlush: // or shortly behind it, when the log is trimmed
		p.delay *= 3
	}
	if rng.IntN(3) == 0 {
		p.stillborn = 1 + rng.IntN(2)
		p.startDelay = time.Duration(rng.Int64N(int64(80 * time.Millisecond)))
	}
	return p
}

// drawnSeed returns the seed of a random test and how to draw the same again.
func drawnSeed(t *testing.T, extra string) (s uint64, rerun string) {
	s = *seed
	if s == 0 {
		s = rand.Uint64()
	}
	rerun = fmt.Sprintf("go test -tags duckdb_arrow -count 1 ./internal/e2e -run '^%s$' -seed %d%s", t.Name(), s, extra)
	t.Log(rerun)
	return s, rerun
}

// TestKilledServerKeepsWhatItAcknowledged shows X3.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	n := roundsOr(50)
	drawn, rerun := drawnSeed(t, fmt.Sprintf(" -rounds %d", n))
	s, all := newSite(t), newLedgers(writersAtOnce)
	var points int
	moments := make(map[moment]int)
	purged := make(map[string]bool) // whether the purge was answered
	for round := range n {
		rng := rand.New(rand.NewPCG(drawn, uint64(round)))
		p := newPlan(rng, round)
		moments[p.at]++
		for range p.stillborn {
			dead := s.launch()
			<-time.After(p.startDelay)
			dead.kill()
		}
		srv := s.start(p.arguments()...)
		if round > 0 {
			points = all.mustAgree(srv, fmt.Sprintf("after round %d", round-1), rerun)
			srv.mustBeWholeOrGone(purged)
		}
		if p.at == inPurge {
			table := fmt.Sprint("t", round)
			srv.makePurgeable(table)
			p.purge = func() { purged[table] = srv.purge(table) }
		}
		all.draw(rng)
		if err := p.run(srv, all, srv.kill); err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, rerun)
		}
		if round%5 == 0 {
			s.mustBeSound(fmt.Sprintf("after the kill of round %d, %s; %s", round, p.at, rerun))
		}
	}
	srv := s.start()
	all.mustAgree(srv, "after the last kill", rerun)
	srv.flush()
	all.mustAgree(srv, "after a flush", rerun)
	srv.stop()
	all.mustAgree(s.start(), "after a stop", rerun)
	t.Logf("kills by moment: %v", moments)
	t.Logf("figures: kills=%d points=%d", n, points)
}

func (p plan) arguments() []string {
	if p.at == inTimedFlush {
		return []string{"--gen1-duration", timedFlush.String()}
	}
	return nil
}

// TestKilledFirstStartCanBeRepeated: a directory on which the very first server was
// killed, at one of many moments of its start, is as good as none.
func TestKilledFirstStartCanBeRepeated(t *testing.T) {
	for i := range 20 {
		s := newSite(t)
		dead := s.launch()
		<-time.After(time.Duration(i) * 3 * time.Millisecond)
		dead.kill()
		srv := s.start()
		srv.write("db", "m v=1i 1\n")
		if n := srv.query("db", "SELECT sum(v) AS n FROM m")[0].number("n"); n != 1 {
			t.Errorf("killed after %d ms, then the sum of one point is %d", 3*i, n)
		}
		srv.kill()
	}
}

// mustAgree fails the test where the server and the ledgers differ. It returns the
// number of points.
func (all ledgers) mustAgree(srv *server, when, rerun string) int {
	srv.site.t.Helper()
	points, findings := all.check(srv)
	for _, f := range findings {
		srv.site.t.Errorf("%s: %s", when, f)
	}
	if len(findings) > 0 {
		srv.site.t.Fatal(rerun)
	}
	return points
}

// draw gives each writer a source of its own.
func (all ledgers) draw(rng *rand.Rand) {
	for _, l := range all {
		l.rng = rand.New(rand.NewPCG(rng.Uint64(), uint64(l.writer)))
	}
}

// run lets everybody write until end, which ends the server, was called. Its error is a
// refused write.
func (p plan) run(srv *server, all ledgers, end func()) error {
	var answers atomic.Int64
	var killers sync.WaitGroup
	answered := func() {
		if answers.Add(1) != p.answers {
			return
		}
		switch p.at {
		case afterAnswer:
			end()
			return
		case inFlush:
			killers.Go(func() {
				// It is killed before it answers, or soon after.
				_, _ = srv.do(http.MethodPost, "/api/v3/flush", nil, nil)
			})
		case inPurge:
			if p.purge != nil {
				killers.Go(p.purge)
			}
		}
		killers.Go(func() {
			<-time.After(p.delay)
			end()
		})
	}
	err := all.writeUntilRefused(srv, p.novelties, p.pace, answered)
	killers.Wait()
	return err
}

// writeUntilRefused lets all writers write until each has met an error. Those of the
// connection are expected; another is returned.
func (all ledgers) writeUntilRefused(srv *server, n novelties, pace time.Duration, answered func()) error {
	failed := make([]error, len(all))
	var writers sync.WaitGroup
	for i, l := range all {
		writers.Go(func() {
			err := l.submit(srv, n)
			for err == nil {
				answered()
				<-time.After(pace)
				err = l.submit(srv, n)
			}
			if errors.Is(err, errRefused) {
				failed[i] = err
			}
		})
	}
	writers.Wait()
	return errors.Join(failed...)
}
