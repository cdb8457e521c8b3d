package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/siltstone-db/siltstone/backup"
	"github.com/siltstone-db/siltstone/engine"
)

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

// Help is the long text of --help.
func (*backupCreateCmd) Help() string {
	return `The backup holds every row that was acknowledged before it began, definitions, retention periods, deletions,
rollups and the hashes of tokens, at one position of the log. Only files that the repository lacks are copied. One that
is interrupted is no backup; the next uses what was copied. The place is made if it does not exist; one that holds
other things is refused.

From cron: progress is a line each half minute where there is no terminal, and the exit status is 0 only when
the backup is there.

Examples:

  siltstone backup create --to /backups/siltstone --keep 14
  siltstone backup create --to s3://company-backups/siltstone --rate 50MB
  siltstone backup create --data-dir ./data --to /backups/siltstone
  siltstone backup create --to /backups/siltstone --format json | jq .backup.new_bytes`
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
