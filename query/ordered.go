package query

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// ordered makes the pieces of an answer from items of work on several goroutines, and hands them out in
// the order of the items. What is made before it is wanted is bounded: items are begun in order, no
// more than itemsAhead before the one that is handed out, and each has room for piecesAhead.
type ordered[T any] struct {
	ctx    context.Context
	cancel context.CancelFunc
	makes  func(worker, item int, emit func(T) error) error
	begun  atomic.Int64
	window chan struct{} // an entry for each item that is begun and not handed out
	items  []orderedItem[T]
	at     int // the item that is handed out
	done   sync.WaitGroup
}

type orderedItem[T any] struct {
	pieces chan T
	err    error // when pieces is closed
}

const (
	itemsAhead  = 4
	piecesAhead = 8
)

// newOrdered begins to work. makes is called for each item, by one worker at a time, and emits its pieces.
// stop must be called.
func newOrdered[T any](ctx context.Context, workers, items int, makes func(worker, item int, emit func(T) error) error) *ordered[T] {
	o := &ordered[T]{makes: makes, window: make(chan struct{}, itemsAhead), items: make([]orderedItem[T], items)}
	o.ctx, o.cancel = context.WithCancel(ctx)
	for i := range o.items {
		o.items[i].pieces = make(chan T, piecesAhead)
	}
	for w := range max(1, min(workers, items)) {
		o.done.Go(func() { o.work(w) })
	}
	return o
}

func (o *ordered[T]) work(worker int) {
	for {
		select {
		case o.window <- struct{}{}:
		case <-o.ctx.Done():
			return
		}
		i := int(o.begun.Add(1)) - 1
		if i >= len(o.items) {
			return
		}
		item := &o.items[i]
		item.err = o.make(worker, i)
		close(item.pieces)
		if item.err != nil {
			return
		}
	}
}

func (o *ordered[T]) make(worker, i int) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("query: fault in a selection: %v", withStack(fault))
		}
	}()
	return o.makes(worker, i, func(piece T) error {
		select {
		case o.items[i].pieces <- piece:
			return nil
		case <-o.ctx.Done():
			return context.Cause(o.ctx)
		}
	})
}

// next returns the next piece; ok is false at the end.
func (o *ordered[T]) next() (piece T, ok bool, err error) {
	for ; o.at < len(o.items); o.at++ {
		select {
		case piece, ok = <-o.items[o.at].pieces:
		case <-o.ctx.Done():
			return piece, false, context.Cause(o.ctx)
		}
		if ok {
			return piece, true, nil
		}
		if err := o.items[o.at].err; err != nil {
			return piece, false, err
		}
		<-o.window
	}
	return piece, false, nil
}

// stop ends the work, and drops what was not handed out.
func (o *ordered[T]) stop(drop func(T)) {
	o.cancel()
	o.done.Wait()
	for i := range o.items {
		for len(o.items[i].pieces) > 0 {
			drop(<-o.items[i].pieces)
		}
	}
}
