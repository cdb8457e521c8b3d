package flight

import "unicode/utf8"

// matches reports whether a filter of Flight SQL, where there is one, lets a name pass: % is
// any text, _ any character, and a backslash takes the meaning of what follows away.
// It needs time in proportion to the product of the lengths at most.
func matches(pattern *string, name string) bool {
	return pattern == nil || like(*pattern, name)
}

func like(pattern, name string) bool {
	// Where the last % was, and how much of the name it has taken.
	retryPattern, retryName := "", ""
	canRetry := false
	for {
		if len(pattern) > 0 && pattern[0] == '%' {
			pattern = pattern[1:]
			retryPattern, retryName, canRetry = pattern, name, true
			continue
		}
		if len(name) == 0 && len(pattern) == 0 {
			return true
		}
		if restPattern, restName, ok := step(pattern, name); ok {
			pattern, name = restPattern, restName
			continue
		}
		if !canRetry || len(retryName) == 0 {
			return false
		}
		_, n := utf8.DecodeRuneInString(retryName)
		retryName = retryName[n:]
		pattern, name = retryPattern, retryName
	}
}

// step matches one character.
func step(pattern, name string) (restPattern, restName string, ok bool) {
	if len(pattern) == 0 || len(name) == 0 {
		return "", "", false
	}
	want, n := utf8.DecodeRuneInString(pattern)
	isAny := want == '_'
	if want == '\\' && len(pattern) > n {
		pattern = pattern[n:]
		want, n = utf8.DecodeRuneInString(pattern)
	}
	got, m := utf8.DecodeRuneInString(name)
	return pattern[n:], name[m:], isAny || got == want
}
