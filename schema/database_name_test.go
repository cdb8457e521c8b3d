package schema

import "testing"

func TestDatabasesAreNamedByID(t *testing.T) {
	s := new(Snapshot).With([]*Database{{ID: 7, Name: "a"}, {ID: 9, Name: "b"}}, nil)
	for id, want := range map[DatabaseID]string{7: "a", 9: "b", 8: ""} {
		if got := s.DatabaseName(id); got != want {
			t.Errorf("database %d is %q, want %q", id, got, want)
		}
	}
}
