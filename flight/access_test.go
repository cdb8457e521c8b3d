package flight_test

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

// token makes a token with the given permissions, an admin's without any.
func (s *site) token(name string, permissions ...schema.Permission) string {
	s.t.Helper()
	text, hash := auth.NewToken()
	_, err := s.engine.CreateToken(schema.Token{Name: name, Hash: hash, Admin: len(permissions) == 0, Permissions: permissions, Created: time.Now().UnixNano()})
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func with(ctx context.Context, header string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", header)
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestCallsNeedATokenOnceThereIsOne(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	ticket := []byte(`{"database":"db","sql_query":"SELECT count(*) FROM cpu"}`)
	c := s.client()
	if _, _, err := read(context.Background(), c, ticket); err != nil {
		t.Fatalf("an open server: %v", err)
	}
	admin := s.token("admin")
	for _, header := range []string{"Bearer " + admin, "Token " + admin, basic("any", admin), basic("", admin)} {
		if _, got, err := read(with(context.Background(), header), c, ticket); err != nil || got != "2\n" {
			t.Errorf("%.8s: %q, %v", header, got, err)
		}
	}
	for _, header := range []string{"", "Bearer", "Bearer wrong", "Digest " + admin, basic("any", "wrong"), "Basic !"} {
		ctx := context.Background()
		if header != "" {
			ctx = with(ctx, header)
		}
		_, _, err := read(ctx, c, ticket)
		refused(t, err, codes.Unauthenticated, "")
		_, err = c.GetFlightInfo(ctx, &arrowflight.FlightDescriptor{})
		refused(t, err, codes.Unauthenticated, "")
		handshake, err := c.Handshake(ctx)
		if err == nil {
			_, err = handshake.Recv()
		}
		refused(t, err, codes.Unauthenticated, "")
	}
}

func TestCallsReadWhatTheTokenMayRead(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	s.write("other", "secret x=1 1")
	s.token("admin")
	header := "Bearer " + s.token("reader", schema.Permission{Database: "db", Read: true})
	c := s.sql()
	mine, others := with(in("db"), header), with(in("other"), header)
	if _, err := c.Execute(mine, "SELECT * FROM cpu"); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"ticket": func() error {
			_, _, err := read(mine, c.Client, []byte(`{"database":"other","sql_query":"SELECT * FROM secret"}`))
			return err
		},
		"InfluxQL": func() error {
			_, _, err := read(mine, c.Client, []byte(`{"database":"other","sql_query":"SELECT * FROM secret","query_type":"influxql"}`))
			return err
		},
		"statement": func() error { _, err := c.Execute(others, "SELECT 1"); return err },
		"prepare":   func() error { _, err := c.Prepare(others, "SELECT 1"); return err },
		"tables": func() error {
			info, err := c.GetTables(others, nil)
			_, _, err = redeem(others, c, info, err)
			return err
		},
		"a ticket that was made for somebody else": func() error {
			admin := with(in("other"), "Bearer "+s.token("another admin"))
			info, err := c.Execute(admin, "SELECT * FROM secret")
			_, _, err = redeem(mine, c, info, err)
			return err
		},
		"a statement that was prepared by somebody else": func() error {
			p, err := c.Prepare(with(in("other"), "Bearer "+s.token("third admin")), "SELECT * FROM secret")
			if err != nil {
				return err
			}
			_, err = p.Execute(mine)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, call(), codes.PermissionDenied, `no read permission for database "other"`)
		})
	}
}

// InfluxQL names databases in its text as well.
func TestInfluxQLOverFlight(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	s.write("other", "secret x=1 1")
	s.token("admin")
	ctx, c := with(context.Background(), "Bearer "+s.token("reader", schema.Permission{Database: "db", Read: true})), s.client()
	ask := func(text string) (string, error) {
		_, got, err := read(ctx, c, []byte(`{"database":"db","query_type":"influxql","sql_query":"`+text+`"}`))
		return got, err
	}
	if got, err := ask("SELECT n FROM cpu"); err != nil || got != "cpu 1970-01-01T00:00:01Z 1\ncpu 1970-01-01T00:00:02Z 2\n" && got != "cpu 1970-01-01T00:00:01 1\ncpu 1970-01-01T00:00:02 2\n" {
		t.Errorf("answered %q, %v", got, err)
	}
	for text, code := range map[string]codes.Code{
		"SELECT x FROM other..secret":            codes.PermissionDenied,
		"SELEC n FROM cpu":                       codes.InvalidArgument,
		"SELECT n FROM cpu; SELECT n FROM cpu":   codes.InvalidArgument,
		"DROP DATABASE db":                       codes.InvalidArgument,
		"SELECT nosuchfunction(n) FROM cpu":      codes.InvalidArgument,
		"SELECT n FROM cpu WHERE host = $nobody": codes.InvalidArgument,
	} {
		_, err := ask(text)
		t.Log(text, ": ", err)
		refused(t, err, code, "")
	}
}

func TestHandshakeTurnsAPasswordIntoAToken(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	admin := s.token("admin")
	c := s.sql()
	ctx, err := c.Client.AuthenticateBasicToken(context.Background(), "anybody", admin)
	if err != nil {
		t.Fatal(err)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer "+admin {
		t.Fatalf("the headers are %q", got)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "database", "db")
	info, err := c.Execute(ctx, "SELECT count(*) FROM cpu")
	if _, got, err := redeem(ctx, c, info, err); err != nil || got != "2\n" {
		t.Errorf("%q, %v", got, err)
	}
	_, err = c.Client.AuthenticateBasicToken(context.Background(), "anybody", "wrong")
	refused(t, err, codes.Unauthenticated, "")
}
