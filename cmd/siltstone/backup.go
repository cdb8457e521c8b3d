package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/siltstone-db/siltstone/backup"
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
	p := env.progress(f.Quiet || f.Format != "text", name, -1, byBytes)
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

type backupListCmd struct {
	fromFlag
	Format string `help:"text, for people, or json: a line for each backup." enum:"text,json" default:"text"`
}

// Help is the long text of --help.
func (*backupListCmd) Help() string {
	return `The oldest comes first. NEW BYTES is what a backup copied; BYTES is what a restore of it writes.

Examples:

  siltstone backup list --from /backups/siltstone
  siltstone backup list --from s3://company-backups/siltstone --format json | jq -r .id`
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
	} else if len(all) == 0 {
		fmt.Fprintf(env.stderr, "There is no backup in %s yet.\n", store)
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

// Help is the long text of --help.
func (*backupVerifyCmd) Help() string {
	return `Every byte is read and compared with its checksum, and every value with what is known of its file. Damage is
named with the backups that need what is damaged; the exit status is 1 then. If the server still has
such a file, remove the object, and the next create copies it again.

Examples:

  siltstone backup verify --from /backups/siltstone
  siltstone backup verify --from /backups/siltstone --backup 20261122T020000.000Z`
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

type backupPruneCmd struct {
	fromFlag
	Keep int `required:"" help:"How many backups stay, the newest." placeholder:"N"`
	outputFlags
}

// Help is the long text of --help.
func (*backupPruneCmd) Help() string {
	return `Each backup is complete by itself, so any of the older ones can go; files that a newer one needs stay. In a
bucket what is younger than a day stays, too: a backup that is being made elsewhere may need it.

Examples:

  siltstone backup prune --from /backups/siltstone --keep 14`
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

func prunedText(p *backup.Pruned) string {
	return fmt.Sprintf("Removed %d older backups and %s objects that only they needed (%s).\n", len(p.Backups), formatCount(p.Objects), formatBytes(p.Bytes))
}
