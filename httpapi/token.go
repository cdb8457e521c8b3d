package httpapi

import (
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// maxTokenName bounds the names of tokens, in bytes.
const maxTokenName = 255

// tokenBody is what creates a token.
type tokenBody struct {
	Name        string           `json:"token_name"`
	Permissions []permissionBody `json:"permissions"`
	ExpirySecs  *uint64          `json:"expiry_secs"`
}

// permissionBody names resources and what may be done with them. InfluxDB 3 Enterprise
// has had both names for the resources.
type permissionBody struct {
	ResourceType       string   `json:"resource_type"`
	ResourceIdentifier []string `json:"resource_identifier"`
	ResourceNames      []string `json:"resource_names"`
	Actions            []string `json:"actions"`
}

// tokenAnswer is InfluxDB 3's answer to who created a token: the only time that the
// token itself is seen.
type tokenAnswer struct {
	ID        uint64  `json:"id"`
	Name      string  `json:"name"`
	Token     string  `json:"token"`
	Hash      string  `json:"hash"`
	CreatedAt string  `json:"created_at"`
	Expiry    *string `json:"expiry"`
}

// createOperatorToken makes the first admin token. Of two such requests one wins.
func (s *Server) createOperatorToken(b *backend, w http.ResponseWriter, _ *http.Request) error {
	return s.issue(b, w, schema.Token{Name: auth.OperatorName, Admin: true})
}

// regenerateOperatorToken puts a new token in the place of the operator's: one commit,
// after which the old one is unknown.
func (s *Server) regenerateOperatorToken(b *backend, w http.ResponseWriter, _ *http.Request) error {
	for _, t := range b.engine.Tokens() {
		if t.Name == auth.OperatorName {
			return s.issue(b, w, *t)
		}
	}
	return &requestError{http.StatusNotFound, "missing admin token, cannot update"}
}

func (s *Server) createAdminToken(b *backend, w http.ResponseWriter, r *http.Request) error {
	t, _, err := s.newToken(w, r)
	if err != nil {
		return err
	}
	t.Admin = true
	return s.issue(b, w, t)
}

func (s *Server) createToken(b *backend, w http.ResponseWriter, r *http.Request) error {
	t, permissions, err := s.newToken(w, r)
	if err != nil {
		return err
	}
	if t.Permissions, err = readPermissions(permissions); err != nil {
		return err
	}
	return s.issue(b, w, t)
}

// newToken reads the name and expiry of a token, and its permissions as they were sent.
func (s *Server) newToken(w http.ResponseWriter, r *http.Request) (schema.Token, []permissionBody, error) {
	var body tokenBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return schema.Token{}, nil, err
	}
	if err := requireFields("token_name", body.Name); err != nil {
		return schema.Token{}, nil, err
	}
	if body.Name == auth.OperatorName {
		return schema.Token{}, nil, tokenExists(body.Name)
	}
	if !isTokenName(body.Name) {
		return schema.Token{}, nil, badRequest("the name of a token is printable text of at most %d bytes", maxTokenName)
	}
	expiry, err := expiryAfter(s.opts.Now(), body.ExpirySecs)
	return schema.Token{Name: body.Name, Expiry: expiry}, body.Permissions, err
}

func isTokenName(name string) bool {
	return len(name) <= maxTokenName && utf8.ValidString(name) && strings.IndexFunc(name, isUnprintable) < 0
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// expiryAfter returns the time so many seconds from now, 0 for never.
func expiryAfter(now time.Time, secs *uint64) (int64, error) {
	switch {
	case secs == nil:
		return 0, nil
	case *secs == 0:
		return 0, badRequest("expiry_secs is 0: the token would never be of use; leave it out for one that does not expire")
	case *secs > (math.MaxInt64-uint64(schema.Nanoseconds(now)))/uint64(time.Second):
		return 0, badRequest("expiry_secs %d goes beyond the year 2262; leave it out for a token that does not expire", *secs)
	}
	return schema.Nanoseconds(now) + int64(*secs)*int64(time.Second), nil
}

// readPermissions turns permissions as InfluxDB 3 Enterprise words them into ours.
func readPermissions(bodies []permissionBody) ([]schema.Permission, error) {
	if len(bodies) == 0 {
		return nil, badRequest("serde json error: missing field `permissions`")
	}
	var all []schema.Permission
	for _, body := range bodies {
		permissions, err := body.read()
		if err != nil {
			return nil, err
		}
		all = append(all, permissions...)
	}
	return all, nil
}

func (body *permissionBody) read() ([]schema.Permission, error) {
	if body.ResourceType != "db" {
		return nil, badRequest("unknown resource_type `%s`, expected `db`", body.ResourceType)
	}
	var allowed schema.Permission
	for _, action := range body.Actions {
		switch action {
		case "read":
			allowed.Read = true
		case "write":
			allowed.Write = true
		default:
			return nil, badRequest("unknown action `%s`, expected `read` or `write`", action)
		}
	}
	names := append(body.ResourceIdentifier, body.ResourceNames...)
	if len(names) == 0 || len(body.Actions) == 0 {
		return nil, badRequest("a permission needs a resource_identifier such as [\"mydb\"] or [\"*\"], and actions such as [\"read\"]")
	}
	permissions := make([]schema.Permission, 0, len(names))
	for _, name := range names {
		if err := checkPermittedName(name); err != nil {
			return nil, err
		}
		allowed.Database = name
		permissions = append(permissions, allowed)
	}
	return permissions, nil
}

// checkPermittedName accepts names that a database can have, whether there is one or not.
func checkPermittedName(name string) error {
	if name == schema.AllDatabases || name == engine.InternalDatabase {
		return nil
	}
	return engine.ValidateDatabaseName(name)
}

// issue stores a token with a new secret and shows it to its owner.
func (s *Server) issue(b *backend, w http.ResponseWriter, t schema.Token) error {
	secret, hash := auth.NewToken()
	t.Hash, t.Created = hash, schema.Nanoseconds(s.opts.Now())
	stored, err := b.engine.CreateToken(t)
	if errors.Is(err, engine.ErrExists) {
		return tokenExists(t.Name)
	}
	if err != nil {
		return err
	}
	answer := tokenAnswer{
		ID: stored.ID, Name: stored.Name, Token: secret, Hash: hex.EncodeToString(hash[:]),
		CreatedAt: formatTime(stored.Created),
	}
	if stored.Expiry != 0 {
		answer.Expiry = new(formatTime(stored.Expiry))
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

func tokenExists(name string) error {
	return &requestError{http.StatusConflict, "token name already exists, " + name}
}

func (s *Server) deleteToken(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := requiredParams(r, "token_name")
	if err != nil {
		return err
	}
	if p[0] == auth.OperatorName {
		return &requestError{http.StatusMethodNotAllowed, "cannot delete operator token"}
	}
	return answerEmpty(w, http.StatusOK, configureError(b.engine.DeleteToken(p[0]), p[0]))
}

// listTokens shows what is known of the tokens, besides their hashes.
func (s *Server) listTokens(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	list := newListing(countColumn("id"), textColumn("name"), textColumn("created_at"), textColumn("expiry"), textColumn("permissions"))
	for _, t := range b.engine.Tokens() {
		list.add(countCell(t.ID), textCell(t.Name), timeCell(t.Created), timeCell(t.Expiry), textCell(describePermissions(t)))
	}
	return list.answer(w, p.format())
}

// describePermissions writes permissions as the command line takes them.
func describePermissions(t *schema.Token) string {
	if t.Admin {
		return "*:*:*"
	}
	words := make([]string, 0, len(t.Permissions))
	for _, p := range t.Permissions {
		words = append(words, p.String())
	}
	return strings.Join(words, ";")
}
