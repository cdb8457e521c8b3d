// Package ingestapi is the Ingest API: contacts and events come as JSON, item by item
// answered, and become rows of two tables of their datasource's database, contacts and
// events, which SQL reads like any other.
//
// It promises:
//
//	I1  An item that is answered "success" is durable and in every query made
//	    afterwards; an item that is answered "error" changed nothing. Outcomes are in
//	    the order of the request, one for each item.
//	I2  What is stored is what was sent: a value that a column cannot hold exactly is an
//	    error of its item, never changed in silence.
//	I3  Of two updates of one contact, concurrent or in one batch, neither loses what the
//	    other wrote. A contact is one row: its latest version.
//	I4  An event is stored once for its _event_id, whatever is retried after whatever
//	    crash; a repeated one is a success that changes nothing.
//	I5  Every answer carries X-RateLimit-Limit, -Remaining and -Reset. Whoever may not
//	    use a datasource learns nothing from them, not even that it exists.
//	I6  Memory does not grow with requests: what is kept is a fixed amount for each
//	    datasource that exists, and every part of a body has a limit (limits.go).
//
// # The life of a batch
//
// routes.go finds the datasource, asks what the sender may do and counts the request
// (ratelimit.go); only then the body is read. decode.go takes it apart, contact.go and
// event.go turn items into what they ask for, columns.go finds what contradicts the types
// of the tables, and encode.go writes the rest as line protocol, from where on it is a
// write like any other: package engine logs it, buffers it, persists it. upsert.go and
// record.go are these steps for contacts and for events; answer.go says what became of
// the items.
//
// # Contacts are versions
//
// The table contacts is LatestByTag on _user_id: an accepted change is a new row with all
// attributes of the contact, and queries see the row with the greatest time. So an update
// has to know the row before it. It is read by a query, under a lock of the datasource
// that is held until the new row is written (I3). Times of versions only grow, whatever
// the clock does: the greatest one is read from what the engine knows of files and
// buffers, because a query does not show deleted contacts.
//
// It leaves authentication, request bodies and the choice of statuses to package httpapi,
// and everything about storage to package engine. An API may be used concurrently; it
// starts no goroutines and owns no bytes.
package ingestapi
