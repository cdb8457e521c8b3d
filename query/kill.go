package query

import (
	"fmt"
	"strconv"
	"strings"
)

// KILL QUERY <id> is the one statement that changes something, and it changes no data. DuckDB
// does not parse it, so it is read here: two words and a number.

// killStatement returns the id in KILL QUERY; ok says whether the text is one.
func killStatement(text string) (id uint64, ok bool, err error) {
	rest, ok := cutWord(text, "KILL")
	if !ok {
		return 0, false, nil
	}
	number, ok := cutWord(rest, "QUERY")
	if !ok {
		return 0, true, refuse("KILL is followed by QUERY and the number of a query: KILL QUERY 17")
	}
	number = strings.TrimRight(strings.TrimSpace(number), "; \t\r\n")
	if id, err = strconv.ParseUint(number, 10, 64); err != nil {
		return 0, true, refuse("%.40q is not the number of a query; system.queries lists them in the column id", number)
	}
	return id, true, nil
}

// kill runs KILL QUERY and returns a query for its answer.
func (j *job) kill(sender Origin, id uint64) (sql string, err error) {
	if err := j.querier.KillAs(sender, id); err != nil {
		return "", &UserError{Message: err.Error(), Err: err}
	}
	return fmt.Sprintf("SELECT %d::UBIGINT AS id, 'killed' AS state", id), nil
}
