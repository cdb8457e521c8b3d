package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

var (
	// ErrDamaged says that an object is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrNewerFormat says that a newer release wrote it.
	ErrNewerFormat = errors.New("the backup has a format of a newer release")
	// ErrNoBackup says that the repository has no such backup.
	ErrNoBackup = errors.New("there is no such backup")
)

// Format is the version of manifests and streams that this package writes.
const Format = 1

// Where the objects of a repository are.
const (
	manifestsDir = "backups/"
	catalogsDir  = "catalogs/"
	filesDir     = "files/"
	manifestExt  = ".json"
	catalogExt   = ".catalog"
	parquetExt   = ".parquet"
	// maxManifest bounds what is read of one: 10,000 databases take two megabytes.
	maxManifest = 64 << 20
)

// Manifest says what a backup is. Numbers count what is in it.
type Manifest struct {
	Format   int        `json:"format"`
	ID       string     `json:"id"`
	Instance string     `json:"instance"` // of the data directory
	Server   string     `json:"server"`   // its release
	Time     time.Time  `json:"time"`     // of the position
	Position schema.Seq `json:"position"` // of the log: rows up to it are in the backup

	CatalogBytes  int64  `json:"catalog_bytes"`
	CatalogCRC32C uint32 `json:"catalog_crc32c"`

	Files    int    `json:"files"`
	Rows     uint64 `json:"rows"`
	Bytes    int64  `json:"bytes"`     // of the files
	NewFiles int    `json:"new_files"` // that no earlier backup had brought
	NewBytes int64  `json:"new_bytes"`

	Databases []DatabaseSummary `json:"databases"`
}

// DatabaseSummary says what a backup has of a database.
type DatabaseSummary struct {
	Name   string `json:"name"`
	Tables int    `json:"tables"`
	Files  int    `json:"files"`
	Rows   uint64 `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// envelope is the form of a manifest in the repository.
type envelope struct {
	SHA256   string          `json:"sha256"` // of the bytes of Manifest
	Manifest json.RawMessage `json:"manifest"`
}

// encode returns the bytes of a manifest's object.
func (m *Manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	text, err := json.Marshal(envelope{hex.EncodeToString(sum[:]), body})
	return append(text, '\n'), err
}

// decodeManifest is the inverse of encode. The errors match ErrDamaged or ErrNewerFormat.
func decodeManifest(text []byte) (*Manifest, error) {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if sum := sha256.Sum256(e.Manifest); hex.EncodeToString(sum[:]) != e.SHA256 {
		return nil, fmt.Errorf("%w: the manifest does not match its checksum", ErrDamaged)
	}
	m := new(Manifest)
	var version struct{ Format int }
	if err := json.Unmarshal(e.Manifest, &version); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if version.Format > Format {
		return nil, fmt.Errorf("%w: %d, and this one reads %d", ErrNewerFormat, version.Format, Format)
	}
	if err := json.Unmarshal(e.Manifest, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !isID(m.ID) || m.Format < 1 || m.CatalogBytes < 0 {
		return nil, fmt.Errorf("%w: the manifest makes no sense", ErrDamaged)
	}
	return m, nil
}

// idLayout orders as time does.
const idLayout = "20060102T150405.000Z"

// newID names a backup by its time.
func newID(t time.Time) string { return t.UTC().Format(idLayout) }

// isID reports whether a text can be the name of a backup, and so a part of an object's.
func isID(id string) bool {
	_, err := time.Parse(idLayout, id)
	return err == nil
}

func (m *Manifest) object() string  { return manifestsDir + m.ID + manifestExt }
func (m *Manifest) catalog() string { return catalogsDir + m.ID + catalogExt }

// FileObject is the name of a file in a repository. The checksum and the size are a part of it, because a
// directory that was restored twice gives an id twice.
func FileObject(instance string, f *schema.File) string {
	return fmt.Sprintf("%s%s/%d/%d/%016x-%08x-%d%s", filesDir, instance, f.Database, f.Table, uint64(f.ID), f.CRC32C, f.Bytes, parquetExt)
}

// summarize counts what an image names.
func (m *Manifest) summarize(image *catalog.Image) {
	byID := make(map[schema.DatabaseID]*DatabaseSummary)
	for _, d := range image.Schema.Databases() {
		byID[d.ID] = &DatabaseSummary{Name: d.Name, Tables: d.TableCount()}
	}
	for _, f := range image.Files {
		m.Files++
		m.Rows += f.Rows
		m.Bytes += int64(f.Bytes)
		if d := byID[f.Database]; d != nil { // others are deleted, and not yet purged
			d.Files++
			d.Rows += f.Rows
			d.Bytes += int64(f.Bytes)
		}
	}
	m.Databases = []DatabaseSummary{}
	for _, d := range image.Schema.Databases() {
		m.Databases = append(m.Databases, *byID[d.ID])
	}
}

// List returns the manifests of a repository, the oldest first. Those that do not read are
// in damaged, by the name of the object. The errors are ErrNoRepository and those of the store.
func List(ctx context.Context, s Store) (all []*Manifest, damaged map[string]error, err error) {
	if err := beRepository(ctx, s, false); err != nil {
		return nil, nil, err
	}
	damaged = make(map[string]error)
	err = s.List(ctx, manifestsDir, func(o Object) error {
		if !strings.HasSuffix(o.Name, manifestExt) {
			return nil
		}
		m, err := readManifest(ctx, s, o.Name)
		if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewerFormat) {
			damaged[o.Name] = err
			return nil
		}
		if err == nil {
			all = append(all, m)
		}
		return err
	})
	slices.SortFunc(all, func(a, b *Manifest) int { return strings.Compare(a.ID, b.ID) })
	return all, damaged, err
}

// Find returns a backup, the newest if id is empty. The errors match ErrNoBackup, ErrDamaged or
// ErrNewerFormat, or are the store's.
func Find(ctx context.Context, s Store, id string) (*Manifest, error) {
	if id == "" {
		err := s.List(ctx, manifestsDir, func(o Object) error {
			if name, ok := strings.CutSuffix(path.Base(o.Name), manifestExt); ok && name > id {
				id = name
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, fmt.Errorf("%w: %s has none at all", ErrNoBackup, s)
		}
	}
	m, err := readManifest(ctx, s, manifestsDir+id+manifestExt)
	if errors.Is(err, ErrNoObject) {
		return nil, fmt.Errorf("%w: %s in %s; siltstone backup list shows what there is", ErrNoBackup, strconv.Quote(id), s)
	}
	return m, err
}

func readManifest(ctx context.Context, s Store, name string) (*Manifest, error) {
	in, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(in, maxManifest))
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	m, err := decodeManifest(text)
	if err == nil && m.object() != name {
		err = fmt.Errorf("%w: it is the manifest of %s", ErrDamaged, m.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// putBytes writes a small object.
func putBytes(ctx context.Context, s Store, name string, b []byte) error {
	return s.Put(ctx, name, int64(len(b)), bytes.NewReader(b))
}
