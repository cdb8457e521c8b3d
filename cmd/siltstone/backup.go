package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/siltstone-db/siltstone/backup"
	"github.com/siltstone-db/siltstone/engine"
)

type backupCmd struct {
	Create  backupCreateCmd  `cmd:"" help:"Back up everything that a server has now."`
	List    backupListCmd    `cmd:"" help:"List the backups of a repository."`
	Verify  backupVerifyCmd  `cmd:"" help:"Read backups and compare them with their checksums."`
	Restore backupRestoreCmd `cmd:"" help:"Make a data directory of a backup."`
	Prune   backupPruneCmd   `cmd:"" help:"Remove all backups but the newest."`
}

// Help is the long text of --help.
func (*backupCmd) Help() string {
	return `A repository is a directory, or s3://BUCKET/PREFIX of a store that speaks S3. It holds any number of
backups, of which each is complete; files that several have are there once, so that a backup costs what is
new since the one before. Writes and queries go on while one is made. All rows that were acknowledged before
it began are in it.

For S3 set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION and AWS_ENDPOINT_URL where they are needed.

Examples:

  siltstone backup create --to /backups/siltstone --keep 14
  siltstone backup create --to s3://company-backups/siltstone
  siltstone backup list --from /backups/siltstone
  siltstone backup verify --from /backups/siltstone
  siltstone backup restore --from /backups/siltstone --data-dir ./restored`
}

// s3Flags come from the environment, so that no key is in a command line.
type s3Flags struct {
	Endpoint     string `name:"s3-endpoint" help:"URL of the S3-compatible store; Amazon's by default." env:"AWS_ENDPOINT_URL_S3,AWS_ENDPOINT_URL" placeholder:"URL"`
	Region       string `name:"s3-region" help:"Region of the bucket, where the store asks for it." env:"AWS_REGION,AWS_DEFAULT_REGION" placeholder:"NAME"`
	AccessKey    secret `name:"s3-access-key" hidden:"" env:"AWS_ACCESS_KEY_ID"`
	SecretKey    secret `name:"s3-secret-key" hidden:"" env:"AWS_SECRET_ACCESS_KEY"`
	SessionToken secret `name:"s3-session-token" hidden:"" env:"AWS_SESSION_TOKEN"`
}

func (f s3Flags) open(place string) (backup.Store, error) {
	return backup.OpenStore(place, backup.S3Options{
		Endpoint: f.Endpoint, Region: f.Region,
		AccessKey: string(f.AccessKey), SecretKey: string(f.SecretKey), SessionToken: string(f.SessionToken),
	})
}

// fromFlag names a repository that is there.
type fromFlag struct {
	From string `required:"" help:"The repository: a directory, or s3://BUCKET/PREFIX." env:"SILTSTONE_BACKUP_REPOSITORY" placeholder:"PLACE"`
	s3Flags
}

func (f fromFlag) open() (backup.Store, error) { return f.s3Flags.open(f.From) }

// outputFlags say what is printed.
type outputFlags struct {
	Format string `help:"text, for people, or json." enum:"text,json" default:"text"`
	Quiet  bool   `short:"q" help:"No progress bar and no summary; errors only."`
}

// bar returns what shows progress, and what removes it.
func (f outputFlags) bar(env environment, name string) (show func(done, total int64, what string), clear func()) {
	var p *progress
	if env.stderrTTY && !f.Quiet && f.Format == "text" {
		p = newProgress(env.stderr, name, -1)
	}
	return p.read, p.clear
}

// print writes v as JSON, or the text.
func (f outputFlags) print(env environment, v any, text string) error {
	switch {
	case f.Format == "json":
		return json.NewEncoder(env.stdout).Encode(v)
	case f.Quiet:
		return nil
	}
	_, err := fmt.Fprint(env.stdout, text)
	return err
}

// minBackupRate keeps a slow receiver from being taken for a dead one.
const minBackupRate = 64 << 10

// rateFlag bounds what a backup reads.
type rateFlag struct {
	Rate quotaSize `help:"Bytes to copy in a second, such as 50MB; 0, the default, is no bound." default:"0" env:"SILTSTONE_BACKUP_RATE" placeholder:"SIZE"`
}

// Validate is called by kong.
func (f rateFlag) Validate() error {
	if f.Rate > 0 && f.Rate < minBackupRate {
		return fmt.Errorf("--rate %d is below 64KiB a second", f.Rate)
	}
	return nil
}

type backupCreateCmd struct {
	hostFlag
	To      string   `required:"" help:"The repository: a directory, or s3://BUCKET/PREFIX." env:"SILTSTONE_BACKUP_REPOSITORY" placeholder:"PLACE"`
	DataDir string   `help:"Back up this directory, which no server may be using, instead of the server at --host." placeholder:"DIR"`
	Keep    int      `help:"Remove all backups but the newest N afterwards. Default: all stay." default:"0" env:"SILTSTONE_BACKUP_KEEP" placeholder:"N"`
	Pool    poolSize `name:"exec-mem-pool-bytes" help:"Memory for the rows in the log of --data-dir. Default: ${default}." default:"20%" env:"SILTSTONE_EXEC_MEM_POOL_BYTES" placeholder:"SIZE"`
	s3Flags
	rateFlag
	outputFlags
}

// created is what backup create says in JSON.
type created struct {
	Backup *backup.Manifest `json:"backup"`
	Pruned *backup.Pruned   `json:"pruned,omitempty"`
}

// Run makes a backup, and removes old ones.
func (c *backupCreateCmd) Run(ctx context.Context, env environment) (err error) {
	if c.DataDir == "" {
		return c.create(ctx, env, c.connect)
	}
	e, err := c.openDirectory(env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return c.create(ctx, env, func(ctx context.Context, have io.Reader) (io.ReadCloser, error) { return sendLocally(ctx, e, have) })
}

func (c *backupCreateCmd) create(ctx context.Context, env environment, connect func(context.Context, io.Reader) (io.ReadCloser, error)) error {
	store, err := c.s3Flags.open(c.To)
	if err != nil {
		return err
	}
	begin := time.Now()
	show, clear := c.bar(env, "backing up")
	m, err := backup.Create(ctx, backup.CreateOptions{Store: store, Connect: connect, BytesPerSecond: int64(c.Rate), Progress: show})
	clear()
	if err != nil {
		return interrupted(ctx, err)
	}
	done := created{Backup: m}
	if c.Keep > 0 {
		if done.Pruned, err = backup.Prune(ctx, store, c.Keep); err != nil {
			return fmt.Errorf("backup %s was made, but older ones could not be removed: %w", m.ID, err)
		}
	}
	return c.print(env, done, createdText(m, done.Pruned, store, time.Since(begin)))
}

// connect asks the server.
func (c *backupCreateCmd) connect(ctx context.Context, have io.Reader) (io.ReadCloser, error) {
	resp, err := c.post(ctx, "/api/v3/backup", nil, have, http.Header{"Accept-Encoding": {"identity"}, "Content-Type": {"text/plain"}})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// openDirectory opens the directory as a start of the server does.
func (c *backupCreateCmd) openDirectory(env environment) (*engine.Engine, error) {
	if info, err := os.Stat(c.DataDir); err != nil || !info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is no data directory", c.DataDir), err)
	}
	total := availableMemory(os.DirFS("/"))
	e, err := engine.Open(engine.Options{
		DataDir: c.DataDir, PoolBytes: min(c.Pool.of(total), total), Gen1Duration: -1, Logger: warnings(env),
	})
	if errors.Is(err, engine.ErrInUse) {
		return nil, fmt.Errorf("%w%s", err, lockOwner(c.DataDir))
	}
	return e, err
}

// warnings is a log on standard error.
func warnings(env environment) *slog.Logger {
	return slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// sendLocally is what a server does for connect.
func sendLocally(ctx context.Context, e *engine.Engine, text io.Reader) (io.ReadCloser, error) {
	have, err := backup.ReadHave(text, e.InstanceID())
	if err != nil {
		return nil, err
	}
	pinned, err := e.BeginBackup(ctx)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer pinned.Close()
		w.CloseWithError(backup.Send(ctx, w, pinned, have, version))
	}()
	return &localStream{r, ended}, nil
}

// localStream waits in Close for who sends.
type localStream struct {
	*io.PipeReader
	ended chan struct{}
}

// Close implements io.Closer.
func (l *localStream) Close() error {
	err := l.PipeReader.Close()
	<-l.ended
	return err
}

// interrupted words an error that the user has caused.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; what was copied stays and is used by the next backup")
	}
	return err
}

func createdText(m *backup.Manifest, pruned *backup.Pruned, to backup.Store, took time.Duration) string {
	text := fmt.Sprintf("Backup %s is in %s: %s rows of %d databases in %s files (%s), of which %s (%s) are new; log position %d, in %s.\n",
		m.ID, to, formatCount(int(m.Rows)), len(m.Databases), formatCount(m.Files), formatBytes(m.Bytes),
		formatCount(m.NewFiles), formatBytes(m.NewBytes), m.Position, took.Round(time.Millisecond))
	if pruned != nil {
		text += prunedText(pruned)
	}
	return text
}

func prunedText(p *backup.Pruned) string {
	return fmt.Sprintf("Removed %d older backups and %s objects that only they needed (%s).\n", len(p.Backups), formatCount(p.Objects), formatBytes(p.Bytes))
}

type backupListCmd struct {
	fromFlag
	Format string `help:"text, for people, or json: a line for each backup." enum:"text,json" default:"text"`
}

// Run lists the backups, the oldest first.
func (c *backupListCmd) Run(ctx context.Context, env environment) error {
	store, err := c.open()
	if err != nil {
		return err
	}
	all, damaged, err := backup.List(ctx, store)
	if err != nil {
		return err
	}
	for name, err := range damaged {
		fmt.Fprintf(env.stderr, "%s cannot be read: %v\n", name, err)
	}
	if c.Format == "json" {
		out := json.NewEncoder(env.stdout)
		for _, m := range all {
			if err := out.Encode(m); err != nil {
				return err
			}
		}
	} else if err := listText(env.stdout, all); err != nil {
		return err
	}
	if len(damaged) > 0 {
		return errReported
	}
	return nil
}

func listText(w io.Writer, all []*backup.Manifest) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "BACKUP\tTIME\tLOG POSITION\tFILES\tROWS\tBYTES\tNEW BYTES\tDATABASES")
	for _, m := range all {
		var names []string
		for _, d := range m.Databases {
			names = append(names, d.Name)
		}
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Time.Format(time.RFC3339), m.Position, formatCount(m.Files),
			formatCount(int(m.Rows)), formatBytes(m.Bytes), formatBytes(m.NewBytes), strings.Join(names, ", "))
	}
	return out.Flush()
}

type backupVerifyCmd struct {
	fromFlag
	Backup string `help:"Verify this one. Default: all of them." placeholder:"BACKUP"`
	outputFlags
}

// Run verifies and prints; the exit status is 1 with damage.
func (c *backupVerifyCmd) Run(ctx context.Context, env environment) error {
	store, err := c.open()
	if err != nil {
		return err
	}
	show, clear := c.bar(env, "verifying")
	report, err := backup.Verify(ctx, backup.VerifyOptions{Store: store, ID: c.Backup, Progress: show})
	clear()
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, d := range report.Damage {
		fmt.Fprintf(&text, "damage: %s: %s; it is needed by %s\n", d.Object, d.What, strings.Join(d.Backups, ", "))
	}
	verdict := "No damage"
	if len(report.Damage) > 0 {
		verdict = fmt.Sprintf("%d damaged or missing objects", len(report.Damage))
	}
	fmt.Fprintf(&text, "%s: %d backups, %s files with %s rows (%s).\n", verdict, report.Backups, formatCount(report.Files), formatCount(int(report.Rows)), formatBytes(report.Bytes))
	if err := c.print(env, report, text.String()); err != nil {
		return err
	}
	if len(report.Damage) > 0 {
		return errReported
	}
	return nil
}

type backupRestoreCmd struct {
	fromFlag
	hostFlag
	Backup   string `help:"Restore this one. Default: the newest." placeholder:"BACKUP"`
	DataDir  string `help:"Directory to make of all of it; it must be empty or not exist." placeholder:"DIR"`
	Database string `aliases:"db" help:"Restore this database alone, into the server at --host, under the name --as." placeholder:"NAME"`
	As       string `help:"Name of the database that is made." placeholder:"NAME"`
	rateFlag
	outputFlags
}

// Help is the long text of --help.
func (*backupRestoreCmd) Help() string {
	return `With --data-dir a directory is made, checked and only then put in its place; serve it with siltstone serve.
With --database and --as one database of the backup comes into a running server, under a name that is
free there. Nothing of it is seen before all of it is there.

Examples:

  siltstone backup restore --from /backups/siltstone --data-dir ./restored
  siltstone backup restore --from /backups/siltstone --database home --as home-of-yesterday`
}

// Validate makes sure that it is one or the other.
func (c *backupRestoreCmd) Validate() error {
	switch {
	case (c.DataDir == "") == (c.Database == ""):
		return errors.New("give either --data-dir, or --database and --as")
	case (c.Database == "") != (c.As == ""):
		return errors.New("--database and --as belong together")
	}
	return c.rateFlag.Validate()
}

// restoreDatabase streams a database to the server.
func (c *backupRestoreCmd) restoreDatabase(ctx context.Context, env environment, store backup.Store) error {
	begin := time.Now()
	show, clear := c.bar(env, "restoring")
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := backup.SendDatabase(ctx, w, store, c.Backup, c.Database, int64(c.Rate), show)
		w.CloseWithError(err)
		sent <- err
	}()
	var done engine.RestoredDatabase
	resp, err := c.post(ctx, "/api/v3/restore", url.Values{"db": {c.Database}, "as": {c.As}}, r, http.Header{"Content-Type": {"application/x-tar"}})
	if err == nil {
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&done), resp.Body.Close())
	}
	_ = r.Close() // ends who sends
	if failed := <-sent; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		err = failed // and what the server says follows from it
	}
	clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was restored")
	}
	if err != nil {
		return err
	}
	return c.print(env, done, fmt.Sprintf("Database %s is there: %s rows of %s tables in %s files (%s), in %s.\n",
		done.Database, formatCount(int(done.Rows)), formatCount(done.Tables), formatCount(done.Files), formatBytes(done.Bytes), time.Since(begin).Round(time.Millisecond)))
}

// Run restores and checks.
func (c *backupRestoreCmd) Run(ctx context.Context, env environment) error {
	store, err := c.open()
	if err != nil {
		return err
	}
	if c.Database != "" {
		return c.restoreDatabase(ctx, env, store)
	}
	begin := time.Now()
	show, clear := c.bar(env, "restoring")
	m, report, err := backup.Restore(ctx, backup.RestoreOptions{
		Store: store, ID: c.Backup, DataDir: c.DataDir, Logger: warnings(env), BytesPerSecond: int64(c.Rate), Progress: show,
	})
	clear()
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was restored, and the next attempt removes what was copied")
	}
	if err != nil {
		return err
	}
	return c.print(env, m, fmt.Sprintf("Backup %s of %s is in %s and was checked: %s rows in %s files (%s), in %s.\nServe it with: siltstone serve --data-dir %s\n",
		m.ID, m.Time.Format(time.RFC3339), c.DataDir, formatCount(int(report.Rows)), formatCount(report.Files), formatBytes(m.Bytes), time.Since(begin).Round(time.Millisecond), c.DataDir))
}

type backupPruneCmd struct {
	fromFlag
	Keep int `required:"" help:"How many backups stay, the newest." placeholder:"N"`
	outputFlags
}

// Run removes old backups.
func (c *backupPruneCmd) Run(ctx context.Context, env environment) error {
	store, err := c.open()
	if err != nil {
		return err
	}
	pruned, err := backup.Prune(ctx, store, c.Keep)
	if err != nil {
		return err
	}
	return c.print(env, pruned, prunedText(pruned))
}
