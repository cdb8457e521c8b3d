package engine

import "fmt"

// maxDatabaseName is InfluxDB 3's.
const maxDatabaseName = 511

// ValidateDatabaseName applies InfluxDB 3's rules: letters, digits, '_' and '-', at
// most one '/' in front of a retention policy, and a letter or digit first. The error
// wraps ErrInvalidDatabaseName; its text is InfluxDB's.
func ValidateDatabaseName(name string) error {
	if name == "" {
		return invalidName("db name cannot be empty")
	}
	if len(name) > maxDatabaseName {
		return invalidName(fmt.Sprintf("db name too long: max %d", maxDatabaseName))
	}
	if !isAlphanumeric(name[0]) {
		return invalidName("db name did not start with a number or letter")
	}
	slashes := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '/':
			slashes++
		case !isAlphanumeric(c) && c != '_' && c != '-':
			return invalidName("invalid character in database or rp name: must be ASCII, containing only letters, numbers, underscores, or hyphens")
		}
	}
	if slashes > 1 || name[len(name)-1] == '/' {
		return invalidName("db name with invalid retention policy, if providing a retention policy name, must be of form '<db_name>/<rp_name>'")
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// nameError keeps InfluxDB's text as the message and the sentinel for errors.Is.
type nameError struct{ reason string }

func invalidName(reason string) error  { return &nameError{reason} }
func (e *nameError) Error() string     { return e.reason }
func (e *nameError) Is(err error) bool { return err == ErrInvalidDatabaseName }
