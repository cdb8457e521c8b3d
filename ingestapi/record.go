package ingestapi

// postEvents stores events. That a repeated one is discarded is the engine's doing: the
// table keeps the first row of each _event_id.
func (q *request) postEvents() error {
	items, err := q.items()
	if err != nil {
		return err
	}
	outcomes := make([]outcome, len(items))
	var events []event
	for i, it := range items {
		if e, ok := readEvent(i, it, q.now, &outcomes[i]); ok {
			events = append(events, e)
		}
	}
	if len(events) > 0 {
		if err := q.record(events, outcomes); err != nil {
			return err
		}
	}
	q.answerBatch(outcomes, func(n itemCount) (contacts, events itemCount) { return itemCount{}, n })
	return nil
}

// record writes events with one write. Which of them are repeated is not known before, so
// the columns that they bring count for the items behind them like those of any other.
func (q *request) record(events []event, outcomes []outcome) error {
	table, err := q.table(eventsSpec)
	if err != nil {
		return err
	}
	known := columns{table: table}
	var l lines
	for _, e := range events {
		out := &outcomes[e.item]
		if out.problems = known.accept(e.parameters); out.problems == nil {
			e.encode(&l, q.now)
		}
	}
	return q.write(&l, outcomes)
}
