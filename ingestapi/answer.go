package ingestapi

import (
	"encoding/json"
	"net/http"
)

// outcome is what became of an item.
type outcome struct {
	userID, eventID *string // as they were sent; nil where they are no strings
	problems        problems
}

// problems are what is wrong with an item, by the name of the member it is wrong with.
type problems map[string][]problem

func (p *problems) add(name string, what problem) {
	if *p == nil {
		*p = make(problems)
	}
	(*p)[name] = append((*p)[name], what)
}

// entityBody is how everything but an error is answered.
type entityBody[T any] struct {
	Entity T `json:"entity"`
}

type batchBody struct {
	Successful int        `json:"successful"`
	Failed     int        `json:"failed"`
	Items      []itemBody `json:"items"`
}

type itemBody struct {
	Status  string   `json:"status"`
	UserID  *string  `json:"_user_id,omitempty"`
	EventID *string  `json:"_event_id,omitempty"`
	Errors  problems `json:"errors,omitempty"`
}

type messageBody struct {
	Message string `json:"message"`
}

// batchAnswer says what became of a batch; it is 422 when nothing of it was accepted.
func batchAnswer(outcomes []outcome) (status int, body batchBody) {
	body.Items = make([]itemBody, len(outcomes))
	for i, o := range outcomes {
		body.Items[i] = itemBody{"success", o.userID, o.eventID, o.problems}
		if o.problems == nil {
			body.Successful++
			continue
		}
		body.Items[i].Status = "error"
		body.Failed++
	}
	if body.Successful == 0 {
		return http.StatusUnprocessableEntity, body
	}
	return http.StatusAccepted, body
}

// writeJSON answers with a JSON document. The client may be gone; nothing can be done then.
func writeJSON[T any](w http.ResponseWriter, status int, body T) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body)
}

// writeEntity answers with what was asked for.
func writeEntity[T any](w http.ResponseWriter, status int, entity T) {
	writeJSON(w, status, entityBody[T]{entity})
}
