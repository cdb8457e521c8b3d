package ingestapi

import (
	"fmt"
	"net/http"
)

// StatusError is a fault of a request as a whole, with the status that answers it.
type StatusError struct {
	Status  int
	Message string
}

func (e *StatusError) Error() string { return e.Message }

func badRequest(format string, args ...any) error {
	return &StatusError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

var (
	// errNoDatasource answers for a datasource that does not exist and for one that the
	// sender may not use alike.
	errNoDatasource = &StatusError{http.StatusNotFound, "Project or datasource not found"}
	// errNoContact occurs when a contact was never there or has been deleted.
	errNoContact = &StatusError{http.StatusNotFound, "Contact not found"}
)

// statusWrongTable answers for a table that stands in the way: nothing is wrong with the
// request, and repeating it does not help.
const statusWrongTable = http.StatusConflict
