package backup

import (
	"reflect"
	"testing"
	"time"
)

// FuzzDecodeManifest decodes anything without a panic. What is accepted encodes to what means the same.
func FuzzDecodeManifest(f *testing.F) {
	m := Manifest{
		Format: Format, ID: newID(time.Unix(1e9, 0)), Instance: "i", Server: "1.0", Time: time.Unix(1e9, 0).UTC(), Position: 7,
		Files: 1, Rows: 2, Bytes: 3, Databases: []DatabaseSummary{{Name: "db", Tables: 1, Files: 1, Rows: 2, Bytes: 3}},
	}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte(`{"sha256":"","manifest":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeManifest(text)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeManifest(again); err != nil || !reflect.DeepEqual(m, same) {
			t.Errorf("%s became %s, %v", text, again, err)
		}
	})
}
