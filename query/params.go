package query

import (
	"encoding/json"
	"errors"
	"fmt"
)

// BindJSON makes of parameters, as encoding/json decodes them with UseNumber, what Request
// takes. The error begins with the name of the parameter that is none.
func BindJSON(params map[string]any) error {
	for name, v := range params {
		switch v := v.(type) {
		case json.Number:
			n, err := Number(v)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			params[name] = n
		case map[string]any, []any:
			return fmt.Errorf("%s: %w", name, errNoParameter)
		}
	}
	return nil
}

var errNoParameter = errors.New("a string, number, boolean or null is needed")

// Number makes an int64 of a number without fraction and exponent, and a float64 of others. It
// is an error if there is no such float64.
func Number(v json.Number) (any, error) {
	if n, err := v.Int64(); err == nil {
		return n, nil
	}
	return v.Float64()
}
