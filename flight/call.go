package flight

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/siltstone-db/siltstone/auth"
)

type metrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "siltstone_flight_call_duration_seconds",
			Help: "Time from a Flight call's headers to the end of its answer; its count is the number of calls.",
			// As for HTTP requests: 0.5 ms to 33 s in steps of four.
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"method", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "siltstone_flight_calls_in_flight",
			Help: "Flight calls being answered.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "siltstone_flight_panics_total",
			Help: "Flight calls that broke an invariant of the server and were answered Internal.",
		}),
	}
	reg.MustRegister(m.duration, m.inFlight, m.panics)
	return m
}

// unary passes a call with one answer on.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	err = s.call(ctx, info.FullMethod, func() (err error) {
		resp, err = next(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// stream passes a call with a stream on.
func (s *Server) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return s.call(stream.Context(), info.FullMethod, func() error { return next(service, stream) })
}

// call runs a call, gives its error a code, survives its panic and counts it all. Only
// methods that exist arrive here, so that callers cannot make metric labels.
func (s *Server) call(ctx context.Context, fullMethod string, run func() error) error {
	start, method := time.Now(), path.Base(fullMethod)
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	err := s.guard(run)
	st := statusOf(err)
	elapsed := time.Since(start)
	s.metrics.duration.WithLabelValues(method, st.Code().String()).Observe(elapsed.Seconds())
	level, log := slog.LevelDebug, s.opts.Logger
	if st.Code() == codes.Internal {
		level = slog.LevelError
		st = status.New(codes.Internal, "internal error; the server's log has the details")
	}
	log.Log(ctx, level, "flight call", slog.String("method", method), slog.String("token_name", auth.IdentityOf(ctx).Name),
		slog.String("code", st.Code().String()), slog.Duration("took", elapsed), slog.Any("error", err))
	return st.Err()
}

// guard turns a panic into an error: gRPC would let it end the process.
func (s *Server) guard(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return run()
}
