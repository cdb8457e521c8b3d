package ingestapi

// Limits of a request. They are far above what contacts and events are, and low enough
// that a batch with all of them at once is written and read within the memory of a few
// requests.
const (
	// MaxItems bounds a batch, as the API's documentation does.
	MaxItems = 100
	// MaxBodyBytes bounds a body after decompression.
	MaxBodyBytes = 8 << 20
	// MaxItemBytes bounds the JSON text of an item.
	MaxItemBytes = 256 << 10
	// MaxIDBytes bounds _user_id, _event_id and _event_type, which are tags: their values
	// are kept in memory, once each, as long as they are buffered.
	MaxIDBytes = 256
	// MaxNameBytes bounds the name of an attribute or parameter, which becomes a column.
	MaxNameBytes = 128
	// MaxStringBytes bounds a text. It is half of what line protocol takes, because
	// escaping may double it.
	MaxStringBytes = 32 << 10
	// MaxAttributes and MaxContactBytes bound a contact with all its attributes, which is
	// written anew with each change.
	MaxAttributes   = 500
	MaxContactBytes = 256 << 10
	// MaxParameters bounds the parameters of an event.
	MaxParameters = 500
	// MaxDepth bounds how deep the JSON in a parameter is nested.
	MaxDepth = 16
)
