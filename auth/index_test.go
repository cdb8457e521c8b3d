package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

func token(name, secret string, permissions ...schema.Permission) *schema.Token {
	return &schema.Token{Name: name, Hash: Hash(secret), Permissions: permissions}
}

func find(t *testing.T, x *Index, secret string, now time.Time) *Identity {
	t.Helper()
	id, ok := x.Find(secret, now)
	if !ok {
		t.Fatalf("the token is not known")
	}
	return id
}

func TestPermissionsDecide(t *testing.T) {
	admin := token("root", "admin")
	admin.Admin = true
	x := NewIndex([]*schema.Token{
		admin,
		token("all", "all", schema.Permission{Database: "*", Read: true}, schema.Permission{Database: "a", Write: true}),
		token("one", "one", schema.Permission{Database: "a", Read: true}, schema.Permission{Database: "b", Write: true}),
		token("twice", "twice", schema.Permission{Database: "a", Read: true}, schema.Permission{Database: "a", Write: true}),
		token("nothing", "nothing"),
	})
	cases := []struct {
		secret string
		may    string // of "ra wa rb wb": read and write on databases a and b
	}{
		{"admin", "ra wa rb wb"},
		{"all", "ra wa rb"},
		{"one", "ra wb"},
		{"twice", "ra wa"},
		{"nothing", ""},
	}
	for _, c := range cases {
		id := find(t, x, c.secret, time.Now())
		for what, got := range map[string]bool{
			"ra": id.MayRead("a"), "wa": id.MayWrite("a"), "rb": id.MayRead("b"), "wb": id.MayWrite("b"),
		} {
			if want := strings.Contains(c.may, what); got != want {
				t.Errorf("%s %s: %v", c.secret, what, got)
			}
		}
		if id.Admin != (c.secret == "admin") || id.Name == "" {
			t.Errorf("%s: %+v", c.secret, id)
		}
	}
}

// TestStarIsNoDatabase: a permission for all is not one for a database of that name only.
func TestStarIsNoDatabase(t *testing.T) {
	x := NewIndex([]*schema.Token{token("one", "one", schema.Permission{Database: "a", Read: true})})
	if id := find(t, x, "one", time.Now()); id.MayRead("*") || id.MayRead("") {
		t.Error("a permission for one database is one for all")
	}
}

func TestUnknownTokensAreNotFound(t *testing.T) {
	x := NewIndex([]*schema.Token{token("one", "secret")})
	hash := Hash("secret")
	for _, secret := range []string{"", "secre", "secret ", "Secret", string(hash[:]), fmt.Sprintf("%x", hash)} {
		if id, ok := x.Find(secret, time.Now()); ok || id != nil {
			t.Errorf("%q is known", secret)
		}
	}
}

func TestTokensExpire(t *testing.T) {
	expiry := time.Unix(1000, 0)
	temporary := token("temporary", "secret")
	temporary.Expiry = expiry.UnixNano()
	x := NewIndex([]*schema.Token{temporary, token("eternal", "eternal")})
	if _, ok := x.Find("secret", expiry.Add(-1)); !ok {
		t.Error("expired too early")
	}
	for _, now := range []time.Time{expiry, expiry.AddDate(291, 0, 0), expiry.AddDate(300, 0, 0), expiry.AddDate(3000, 0, 0)} {
		if _, ok := x.Find("secret", now); ok {
			t.Errorf("known at %s, after its expiry", now)
		}
	}
	if _, ok := x.Find("eternal", expiry.AddDate(200, 0, 0)); !ok {
		t.Error("a token without an expiry expired")
	}
}

func TestIndexKnowsWhetherThereAreTokens(t *testing.T) {
	if x := NewIndex(nil); !x.IsEmpty() || x.HasAdmin() {
		t.Error("there is a token in an empty index")
	}
	if x := NewIndex([]*schema.Token{token("one", "one")}); x.IsEmpty() || x.HasAdmin() {
		t.Error("a scoped token is no token, or an admin's")
	}
	expired := token("root", "root")
	expired.Admin, expired.Expiry = true, 1
	if x := NewIndex([]*schema.Token{expired}); x.IsEmpty() || !x.HasAdmin() {
		t.Error("an expired admin token does not count")
	}
}

func TestEveryoneMayDoEverythingAndNobodyNothing(t *testing.T) {
	if id := Everyone(); !id.Admin || !id.MayRead("a") || !id.MayWrite("a") || id.Name != "" {
		t.Error("everyone is restricted")
	}
	var nobody Identity
	if nobody.Admin || nobody.MayRead("a") || nobody.MayWrite("a") {
		t.Error("the zero identity may do something")
	}
}

func BenchmarkFind(b *testing.B) {
	tokens := make([]*schema.Token, 10_000)
	for i := range tokens {
		tokens[i] = token(fmt.Sprint(i), fmt.Sprint(i))
	}
	x := NewIndex(tokens)
	secret, _ := NewToken()
	now := time.Now()
	for b.Loop() {
		x.Find(secret, now)
	}
}
