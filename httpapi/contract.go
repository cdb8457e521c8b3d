package httpapi

import (
	"fmt"
	"net/http"
)

// Contract names the product whose status codes and bodies answer a write. Every
// client of the product is told what it expects; what is stored is the same.
type Contract string

// The contracts.
const (
	ContractCore       Contract = "core"       // InfluxDB 3 Core and Enterprise
	ContractDedicated  Contract = "dedicated"  // InfluxDB Cloud Dedicated
	ContractServerless Contract = "serverless" // InfluxDB Cloud Serverless
)

// Validate reports a contract that does not exist.
func (c Contract) Validate() error {
	switch c {
	case ContractCore, ContractDedicated, ContractServerless:
		return nil
	}
	return fmt.Errorf("write contract %q does not exist; the contracts are %s, %s and %s", string(c), ContractCore, ContractDedicated, ContractServerless)
}

// outcome is what became of a write.
type outcome uint8

const (
	allAccepted     outcome = iota
	someAccepted            // and the others rejected
	noneAccepted            // for reasons of which some are not the syntax
	malformed               // none accepted, and none of the lines is line protocol
	expired                 // none accepted, all outside the retention period
	beyondLimit             // none accepted, for nothing but a limit on tables or columns
	someBeyondLimit         // some accepted, the others rejected for nothing but such a limit
	unauthorized            // no token, a bad one, or one without the permission
	notFound                // the database does not exist and is not created
	wrongMethod             // not POST
	tooLarge                // beyond the size limit
	unprocessable           // a limit on databases
	overQuota               // the token has used up its quota
	internalFault           // ours
	unavailable             // writes cannot be taken now

	outcomes // how many there are
)

// form says what an answer carries besides its status.
type form uint8

const (
	noBody        form = iota
	pointsBody         // a body that describes the rejected points
	pointsHeaders      // the same in headers, or as 201 with pointsBody when the client prefers that
	errorText          // a body with one error
)

// reply is how one contract answers one outcome.
type reply struct {
	status int
	form   form
	header string // a header that the answer never lacks
	text   string // in place of our own, on the routes that are not Core's
}

// writeContract is how each outcome is answered under each contract.
var writeContract = [outcomes]struct{ core, dedicated, serverless reply }{
	//              core                                  dedicated                             serverless
	allAccepted:     {reply{status: 204}, reply{status: 204}, reply{status: 204}},
	someAccepted:    {reply{status: 400, form: pointsBody}, reply{status: 201, form: pointsBody}, reply{status: 204, form: pointsHeaders}},
	noneAccepted:    {reply{status: 400, form: pointsBody}, reply{status: 400, form: pointsBody}, reply{status: 400, form: pointsBody}},
	malformed:       {reply{status: 400, form: pointsBody}, reply{status: 400, form: pointsBody}, reply{status: 400, form: pointsBody}},
	expired:         {reply{status: 400, form: pointsBody}, reply{status: 400, form: pointsBody}, reply{status: 403, form: pointsBody}},
	beyondLimit:     {reply{status: 422, form: pointsBody}, reply{status: 422, form: pointsBody}, reply{status: 422, form: pointsBody}},
	someBeyondLimit: {reply{status: 422, form: pointsBody}, reply{status: 201, form: pointsBody}, reply{status: 204, form: pointsHeaders}},
	unauthorized:    {fails(401), fails(401), fails(401)},
	notFound:        {fails(404), fails(404), fails(404)},
	wrongMethod:     {fails(405).with("Allow"), fails(405).with("Allow"), fails(405).with("Allow")},
	tooLarge:        {fails(413), fails(413), fails(413).saying("cannot read data: points in batch is too large")},
	unprocessable:   {fails(422), fails(422), fails(422)},
	overQuota:       {fails(429).with("Retry-After"), fails(503).with("Retry-After"), fails(429).with("Retry-After")},
	internalFault:   {fails(500), fails(500), fails(500)},
	unavailable:     {fails(503).with("Retry-After"), fails(503).with("Retry-After"), fails(503).with("Retry-After")},
}

func fails(status int) reply             { return reply{status: status, form: errorText} }
func (r reply) with(header string) reply { r.header = header; return r }
func (r reply) saying(text string) reply { r.text = text; return r }

// reply returns how the contract answers an outcome.
func (c Contract) reply(o outcome) reply {
	row := writeContract[o]
	switch c {
	case ContractDedicated:
		return row.dedicated
	case ContractServerless:
		return row.serverless
	}
	return row.core
}

// failures are the outcomes of requests that failed as a whole, by the status that
// statusOf gives their error.
var failures = map[int]outcome{
	http.StatusUnauthorized:          unauthorized,
	http.StatusNotFound:              notFound,
	http.StatusMethodNotAllowed:      wrongMethod,
	http.StatusRequestEntityTooLarge: tooLarge,
	http.StatusUnprocessableEntity:   unprocessable,
	http.StatusTooManyRequests:       overQuota,
	http.StatusInternalServerError:   internalFault,
	http.StatusServiceUnavailable:    unavailable,
}

// failure returns how the contract answers an error with the status of statusOf. Errors
// that are no outcome, as a parameter that cannot be read, keep it.
func (c Contract) failure(status int) reply {
	if o, ok := failures[status]; ok {
		return c.reply(o)
	}
	return fails(status)
}

// errorCodes are the names that InfluxDB's v2 API has for statuses.
var errorCodes = map[int]string{
	http.StatusUnauthorized:          "unauthorized",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not found",
	http.StatusMethodNotAllowed:      "method not allowed",
	http.StatusRequestEntityTooLarge: "request too large",
	http.StatusUnprocessableEntity:   "unprocessable entity",
	http.StatusTooManyRequests:       "too many requests",
	http.StatusInternalServerError:   "internal error",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusGatewayTimeout:        "unavailable",
}

// errorCode names a status; what has no name of its own is the request's fault.
func errorCode(status int) string {
	if code, ok := errorCodes[status]; ok {
		return code
	}
	return "invalid"
}

// summary is the first line of a message about rejected points.
func (c Contract) summary(accepted int) string {
	switch {
	case c != ContractCore:
		return "failed to parse line protocol: errors encountered on line(s):"
	case accepted > 0:
		return "partial write has occurred, errors encountered on line(s):"
	}
	return "no data written, errors encountered on line(s):"
}
