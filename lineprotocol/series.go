package lineprotocol

import "bytes"

// Series is the identity of a point: its measurement and its tags, escapes resolved.
// Its slices alias the text it was parsed from or a buffer of its own.
type Series struct {
	Measurement []byte
	Tags        []Tag // in the order of the line, keys distinct

	scratch []byte
	// keys are tag keys that are distinct, in the order in which they came last. They have no
	// equals signs.
	keys [][]byte
}

// Tag is one key and value.
type Tag struct{ Key, Value []byte }

// ParseSeries takes a series text apart into s. The error's place is relative to the
// line of r, from which raw must have come by its last call of Series.
func (r *Reader) ParseSeries(raw []byte, s *Series) *Error {
	s.Tags, s.scratch = s.Tags[:0], s.scratch[:0]
	base := r.pos - len(raw)
	if !validText(raw) {
		return r.fail(InvalidText, nil, base)
	}
	escaped := bytes.IndexByte(raw, '\\') >= 0
	end := tokenEnd(raw, 0, ',', escaped)
	s.Measurement = s.unescape(raw[:end], escaped, isMeasurementEscape)
	if end == 0 {
		return r.fail(InvalidMeasurement, nil, base)
	}
	for end < len(raw) {
		begin := end + 1
		end = tokenEnd(raw, begin, ',', escaped)
		eq := s.keyEnd(raw[:end], begin, escaped)
		if eq == begin || eq >= end-1 || escaped && isAmbiguous(raw[eq+1:end]) {
			return r.fail(MalformedTags, raw[begin:end], base+begin)
		}
		s.Tags = append(s.Tags, Tag{
			Key:   s.unescape(raw[begin:eq], escaped, isKeyEscape),
			Value: s.unescape(raw[eq+1:end], escaped, isKeyEscape),
		})
	}
	if s.isKnown() {
		return nil
	}
	if err := r.checkDistinct(s, base); err != nil {
		return err
	}
	s.learn()
	return nil
}

// keyEnd finds the end of the tag key of raw at begin. It tries the key that stood there last time.
func (s *Series) keyEnd(raw []byte, begin int, escaped bool) int {
	if i := len(s.Tags); i < len(s.keys) && !escaped {
		key := s.keys[i]
		if eq := begin + len(key); eq < len(raw) && raw[eq] == '=' && string(raw[begin:eq]) == string(key) {
			return eq
		}
	}
	return tokenEnd(raw, begin, '=', escaped)
}

// isKnown reports whether the tag keys are those that came last, or the first of them, so that
// they are distinct.
func (s *Series) isKnown() bool {
	if len(s.Tags) > len(s.keys) {
		return false
	}
	for i := range s.Tags {
		if string(s.Tags[i].Key) != string(s.keys[i]) {
			return false
		}
	}
	return true
}

// maxKnownKey bounds the keys that are kept for the next series.
const maxKnownKey = 256

// learn keeps the tag keys, which are distinct.
func (s *Series) learn() {
	s.keys = s.keys[:0]
	for i, t := range s.Tags {
		if i == quadraticTags || len(t.Key) > maxKnownKey || bytes.IndexByte(t.Key, '=') >= 0 {
			return
		}
		if i < cap(s.keys) {
			s.keys = s.keys[:i+1]
		} else {
			s.keys = append(s.keys, nil)
		}
		s.keys[i] = append(s.keys[i][:0], t.Key...)
	}
}

// isAmbiguous reports whether a tag value may be two tags: what stands before \\, is a
// value that ends in a backslash to some writers. A value may have equals signs, base64
// ends in them, but not behind that.
func isAmbiguous(value []byte) bool {
	i := bytes.Index(value, []byte(`\\,`))
	return i >= 0 && tokenEnd(value, i, '=', true) < len(value)
}

// quadraticTags is the number of tags up to which comparing all pairs is cheaper
// than a set.
const quadraticTags = 32

func (r *Reader) checkDistinct(s *Series, base int) *Error {
	if len(s.Tags) <= quadraticTags {
		for i := range s.Tags {
			for j := range i {
				if bytes.Equal(s.Tags[i].Key, s.Tags[j].Key) {
					return r.fail(DuplicateTag, s.Tags[i].Key, base)
				}
			}
		}
		return nil
	}
	seen := make(map[string]bool, len(s.Tags))
	for _, t := range s.Tags {
		if seen[string(t.Key)] {
			return r.fail(DuplicateTag, t.Key, base)
		}
		seen[string(t.Key)] = true
	}
	return nil
}

// tokenEnd finds the first unescaped stop byte of b at or after from.
func tokenEnd(b []byte, from int, stop byte, escaped bool) int {
	if !escaped {
		if i := bytes.IndexByte(b[from:], stop); i >= 0 {
			return from + i
		}
		return len(b)
	}
	for i := from; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if i+1 < len(b) && isKeyEscape(b[i+1]) {
				i++
			}
		case stop:
			return i
		}
	}
	return len(b)
}

// unescape resolves escapes into the series' buffer. Growing it leaves earlier
// results in the old one, where they stay valid.
func (s *Series) unescape(b []byte, escaped bool, isEscape func(byte) bool) []byte {
	if !escaped || bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	begin := len(s.scratch)
	s.scratch = appendUnescaped(s.scratch, b, isEscape)
	return s.scratch[begin:len(s.scratch):len(s.scratch)]
}

// appendUnescaped drops each backslash that escapes the byte after it; any other
// backslash stands for itself.
func appendUnescaped(dst, b []byte, isEscape func(byte) bool) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) && isEscape(b[i+1]) {
			i++
		}
		dst = append(dst, b[i])
	}
	return dst
}

// What a backslash escapes, by place; before anything else it stands for itself. A
// backslash is escaped nowhere but in strings, as in InfluxDB.
func isMeasurementEscape(c byte) bool { return c == ',' || c == ' ' }
func isKeyEscape(c byte) bool         { return c == ',' || c == ' ' || c == '=' }
func isStringEscape(c byte) bool      { return c == '"' || c == '\\' }
