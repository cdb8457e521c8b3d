package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/auth"
)

// Paths of the server's configuration.
const (
	databasePath   = "/api/v3/configure/database"
	tablePath      = "/api/v3/configure/table"
	tokenPath      = "/api/v3/configure/token"
	datasourcePath = "/api/v3/configure/datasource"
	expiredPath    = "/api/v3/retention/expired"
)

type createCmd struct {
	Database   createDatabaseCmd   `cmd:"" help:"Make a database."`
	Table      createTableCmd      `cmd:"" help:"Make a table, and its database if need be."`
	Token      createTokenCmd      `cmd:"" help:"Make a token and print it, once."`
	Datasource createDatasourceCmd `cmd:"" help:"Make a datasource of the Ingest API."`

	LastCache     createLastCacheCmd     `cmd:"" name:"last_cache" help:"Name what last_cache('table', 'name') shows in SQL: the newest rows of each key."`
	DistinctCache createDistinctCacheCmd `cmd:"" name:"distinct_cache" help:"Name what distinct_cache('table', 'name') shows in SQL: which values occur together."`
}

// Help is the long text of --help.
func (*createCmd) Help() string {
	return `Examples:

  siltstone create token --admin
  siltstone create token --name sensors --permission "db:home,garden:write" --expiry 90d
  siltstone create database home --retention-period 30d
  siltstone create table room -d home --tags name --fields temp:float64,hum:int64
  siltstone create datasource --project shop --datasource web
  siltstone create last_cache -d home -t room --key-columns name --value-columns temp,hum --ttl 1h newest
  siltstone create distinct_cache -d home -t room --columns name,floor rooms`
}

type createDatabaseCmd struct {
	hostFlag
	Name      string `arg:"" help:"Name of the database."`
	Retention string `name:"retention-period" help:"How long it keeps points, such as 30d; none is for ever. Default: ${default}." default:"none" placeholder:"DURATION"`
}

// databaseBody is what makes or changes a database.
type databaseBody struct {
	Database  string  `json:"db"`
	Retention *string `json:"retention_period"` // null is for ever
}

func newDatabaseBody(name, retention string) databaseBody {
	return databaseBody{name, period(retention)}
}

// noRetention is the retention period of a database that keeps everything, or of a table that has none
// of its own.
const noRetention = "none"

// period is a retention period as the server takes it.
func period(retention string) *string {
	if retention == noRetention {
		return nil
	}
	return &retention
}

// Run makes the database.
func (c *createDatabaseCmd) Run(ctx context.Context, env environment) error {
	if err := c.call(ctx, http.MethodPost, databasePath, nil, newDatabaseBody(c.Name, c.Retention), nil); err != nil {
		return err
	}
	return say(env, "Database %q is there.", c.Name)
}

// say tells people what was done. It goes where it cannot get between the results.
func say(env environment, format string, args ...any) error {
	_, err := fmt.Fprintf(env.stderr, format+"\n", args...)
	return err
}

type createTableCmd struct {
	hostFlag
	databaseFlag
	Name   string       `arg:"" help:"Name of the table."`
	Tags   []string     `help:"Its tags, with commas between them." placeholder:"TAG"`
	Fields []tableField `help:"Its fields and their types: utf8, int64, uint64, float64 or bool." placeholder:"FIELD:TYPE"`

	Retention string `name:"retention-period" help:"How long it keeps points, such as 7d, whatever its database says; none is as long as the database. Default: ${default}." default:"none" placeholder:"DURATION"`
}

// tableField is a field as the command line and the server write it.
type tableField struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *tableField) UnmarshalText(text []byte) error {
	i := strings.LastIndexByte(string(text), ':')
	if i <= 0 || i == len(text)-1 {
		return fmt.Errorf("%q is not a field and its type, such as temp:float64", text)
	}
	*f = tableField{Name: string(text[:i]), Type: string(text[i+1:])}
	return nil
}

// tableBody is what makes a table.
type tableBody struct {
	Database string       `json:"db"`
	Table    string       `json:"table"`
	Tags     []string     `json:"tags"`
	Fields   []tableField `json:"fields"`
	// Retention is null for as long as the database.
	Retention *string `json:"retention_period,omitempty"`
}

// Run makes the table.
func (c *createTableCmd) Run(ctx context.Context, env environment) error {
	// InfluxDB 3 wants lists, be they empty.
	body := tableBody{c.Database, c.Name, append([]string{}, c.Tags...), append([]tableField{}, c.Fields...), period(c.Retention)}
	if err := c.call(ctx, http.MethodPost, tablePath, nil, body, nil); err != nil {
		return err
	}
	return say(env, "Table %q of database %q is there.", c.Name, c.Database)
}

type createTokenCmd struct {
	hostFlag
	Admin       bool         `help:"A token that may do everything. Without --name it is the operator's, the first of all, which needs no token itself."`
	Name        string       `help:"Name of the token, which the server keeps in place of it." placeholder:"NAME"`
	Permissions []permission `name:"permission" sep:"none" help:"What it may do: db:DATABASE,...:ACTION,... with the actions read and write, and * for every database; repeatable." placeholder:"PERMISSION"`
	Expiry      duration     `help:"How long it is good for, such as 30d. Default: for ever." placeholder:"DURATION"`
	Regenerate  bool         `help:"Put a new token in the place of the operator's, which is good for nothing from then on."`
	yesFlag
	OutputFile string `name:"output-file" help:"Ask no server: make an admin token in a new file, for siltstone serve --admin-token-file." placeholder:"FILE"`
}

// Help is the long text of --help.
func (*createTokenCmd) Help() string {
	return `The token is printed to standard output and never again: the server keeps a hash of it.
As soon as there is a token, the server answers nobody without one.

Examples:

  export SILTSTONE_AUTH_TOKEN=$(siltstone create token --admin)
  siltstone create token --name sensors --permission "db:home,garden:write" --expiry 90d
  siltstone create token --name report --permission "db:*:read"
  siltstone create token --admin --name ada
  siltstone create token --admin --output-file admin.token`
}

// Validate reports flags that do not belong together; kong calls it after parsing.
func (c *createTokenCmd) Validate() error {
	isOperator := c.Admin && c.Name == ""
	switch {
	case !c.Admin && (c.Regenerate || c.OutputFile != ""):
		return errors.New("--regenerate and --output-file are about the operator's token: add --admin")
	case c.Admin && len(c.Permissions) > 0:
		return errors.New("an admin token may do everything: leave out --admin or --permission")
	case !c.Admin && (c.Name == "" || len(c.Permissions) == 0):
		return errors.New(`give --admin, or --name and --permission such as "db:home:read,write"`)
	case !isOperator && (c.Regenerate || c.OutputFile != ""):
		return errors.New("the operator's token has no other name: leave out --name")
	case c.Regenerate && c.OutputFile != "":
		return errors.New("--output-file asks no server, --regenerate does: leave out one of them")
	case isOperator && c.OutputFile == "" && c.Expiry != 0:
		return errors.New("the operator's token does not expire: leave out --expiry, or add --name")
	case c.Expiry != 0 && time.Duration(c.Expiry) < time.Second:
		return errors.New("--expiry is shorter than 1s")
	}
	return nil
}

// tokenBody is what makes a token, but the operator's.
type tokenBody struct {
	Name        string       `json:"token_name"`
	Permissions []permission `json:"permissions,omitempty"`
	ExpirySecs  int64        `json:"expiry_secs,omitempty"`
}

// Run makes the token and prints it.
func (c *createTokenCmd) Run(ctx context.Context, env environment) error {
	if c.OutputFile != "" {
		return c.writeFile(env)
	}
	if c.Regenerate {
		if err := c.confirm(env, "put a new token in the place of the operator's", auth.OperatorName); err != nil {
			return err
		}
	}
	path, body := c.request()
	var made struct {
		Name   string  `json:"name"`
		Token  string  `json:"token"`
		Expiry *string `json:"expiry"`
	}
	if err := c.call(ctx, http.MethodPost, path, nil, body, &made); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(env.stdout, made.Token); err != nil {
		return err
	}
	until := "does not expire"
	if made.Expiry != nil {
		until = "expires at " + *made.Expiry
	}
	return say(env, "This is the token %q. It %s. Keep it: nobody can show it again.", made.Name, until)
}

// request returns the path and the body that make the token.
func (c *createTokenCmd) request() (path string, body any) {
	named := tokenBody{c.Name, c.Permissions, int64(time.Duration(c.Expiry) / time.Second)}
	switch {
	case c.Regenerate:
		return tokenPath + "/admin/regenerate", nil
	case !c.Admin:
		return tokenPath, named
	case c.Name == "":
		return tokenPath + "/admin", nil
	}
	return tokenPath + "/named_admin", named
}

func (c *createTokenCmd) writeFile(env environment) error {
	var expiry time.Time
	if c.Expiry != 0 {
		expiry = time.Now().Add(time.Duration(c.Expiry))
	}
	if err := writeAdminToken(c.OutputFile, expiry); err != nil {
		return err
	}
	return say(env, "The token is in %[1]s, which only you can read. Start a server with it:\n  siltstone serve --admin-token-file %[1]s", c.OutputFile)
}

// permission is what a token may do, as the server takes it.
type permission struct {
	ResourceType string   `json:"resource_type"`
	Resources    []string `json:"resource_identifier"`
	Actions      []string `json:"actions"`
}

// UnmarshalText implements encoding.TextUnmarshaler; the text is such as
// db:home,garden:read,write.
func (p *permission) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), ":")
	if len(parts) != 3 || parts[0] != "db" || parts[1] == "" {
		return fmt.Errorf("%q is not a permission such as db:home,garden:read,write or db:*:read", text)
	}
	*p = permission{parts[0], strings.Split(parts[1], ","), strings.Split(parts[2], ",")}
	for _, action := range p.Actions {
		if action != "read" && action != "write" {
			return fmt.Errorf("%q is not an action in %q; the actions are read and write", action, text)
		}
	}
	return nil
}

type createDatasourceCmd struct {
	hostFlag
	Project    string `required:"" help:"Name of the project." placeholder:"NAME"`
	Datasource string `required:"" help:"Name of the datasource." placeholder:"NAME"`
}

// Run makes the datasource and says which database holds it.
func (c *createDatasourceCmd) Run(ctx context.Context, env environment) error {
	in := struct {
		Project    string `json:"project"`
		Datasource string `json:"datasource"`
	}{c.Project, c.Datasource}
	var made struct {
		Database string `json:"database"`
	}
	if err := c.call(ctx, http.MethodPost, datasourcePath, nil, in, &made); err != nil {
		return err
	}
	return say(env, "The datasource is there. Send to\n  %s/v1/project/%s/datasource/%s/stream/contacts and /events\nand query database %s, tables contacts and events.",
		strings.TrimSuffix(c.Host, "/"), url.PathEscape(c.Project), url.PathEscape(c.Datasource), made.Database)
}
