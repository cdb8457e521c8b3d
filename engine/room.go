package engine

import (
	"context"
	"fmt"
)

// room is what one request holds of the admission's memory. It grows while the body is
// read, because the memory that a line takes has little to do with its length: a short
// line may bring a series, a day or a table of its own.
type room struct {
	ctx       context.Context // the request's
	admission *admission
	taken     int64
	// isGranted lets the request have what it needs: it is part of one that was let in.
	isGranted bool

	remembered int64 // what the ingester remembered before the request
}

const (
	// A request begins with bodyFactor bytes for each of its body, which is what most
	// bodies need, and roomStep.
	bodyFactor = 3
	roomStep   = 16 << 10
	// A request that needs more takes a share of it at a time, so that few steps are needed.
	maxRoomStep = 1 << 20
)

// enter takes the room with which a request of bodyBytes begins. The error is ErrOverloaded.
func (r *room) enter(bodyBytes int) error {
	n := roomStep + bodyFactor*int64(bodyBytes)
	if r.isGranted {
		r.admission.add(n)
		r.taken = n
		return nil
	}
	taken, ok := r.admission.acquire(r.ctx, n)
	if !ok {
		return fmt.Errorf("%w: requests under way hold %d of %d bytes and the request needs about %d", ErrOverloaded, r.admission.inUse(), r.admission.limit, n)
	}
	r.taken = taken
	return nil
}

// begin is called before the body is read, each time that it is.
func (r *room) begin(in *ingester) { r.remembered = in.cached }

// check makes sure of room for what was read so far. The errors are ErrOverloaded and
// ErrTooLarge.
func (r *room) check(in *ingester) error {
	need := in.out.built + max(in.cached-r.remembered, 0) + in.rejected.held
	if need <= r.taken {
		return nil
	}
	if r.isGranted {
		r.admission.add(need - r.taken)
		r.taken = need
		return nil
	}
	limit := r.admission.limit
	if need > limit {
		return fmt.Errorf("%w: reading them takes more than the %d bytes of memory that requests have together; split the request, or start the server with a larger --exec-mem-pool-bytes", ErrTooLarge, limit)
	}
	step := min(max(need-r.taken, min(r.taken/2, maxRoomStep)), limit-r.taken)
	if !r.admission.grow(r.ctx, step) {
		return fmt.Errorf("%w: requests under way hold %d of %d bytes", ErrOverloaded, r.admission.inUse(), limit)
	}
	r.taken += step
	return nil
}

// leave gives everything back.
func (r *room) leave() {
	r.admission.release(r.taken)
	r.taken = 0
}
