package catalog

import (
	"bytes"
	"maps"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// imageOf makes an image of a catalog that holds what recordSamples are of, with its files
// and position as they are.
func imageOf(t testing.TB, c *Catalog) []byte {
	t.Helper()
	p, err := c.TakePicture()
	mustDo(t, err)
	var image bytes.Buffer
	mustDo(t, p.WriteImage(&image, Contents{Files: c.Files(), Position: c.Position()}))
	mustDo(t, p.Close())
	return image.Bytes()
}

// sampleCatalog has a record of most kinds.
func sampleCatalog(t testing.TB, fs vfs.FS) *Catalog {
	t.Helper()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "m", "a", "b"))
	mustDefine(t, c, table("db", "gone", "a"))
	mustDefine(t, c, table("other", "m", "a"))
	mustDo(t, c.SetRetention("other", 5))
	first, second := c.AllocateFileID(), c.AllocateFileID()
	mustCommit(t, c, Edit{Add: []*schema.File{sampleFile(second, 1), sampleFile(first, 2)}, Position: 7})
	mustDo(t, c.DeleteTable("db", "gone", 1))
	mustDo(t, c.Purge([]schema.TableID{2}, nil))
	mustDo(t, c.DeleteDatabase("other", 0))
	_, err := c.PutToken(schema.Token{Name: "t", Hash: [64]byte{1}, Admin: true})
	mustDo(t, err)
	mustDo(t, c.CreateDatasource(schema.Datasource{Project: "p", Name: "n", Database: "p/n"}))
	mustDo(t, c.Remember(1, [][16]byte{{1}, {2}}))
	return c
}

// TestImportedImageIsTheCatalog compares the records of a catalog with those of one that was
// made of its image: they are the same but for what counts changes of a directory.
func TestImportedImageIsTheCatalog(t *testing.T) {
	from := vfs.NewMem()
	c := sampleCatalog(t, from)
	image := imageOf(t, c)
	mustDo(t, c.Remember(1, [][16]byte{{3}})) // comes too late
	mustClose(t, c)
	want := rawRecords(t, from)
	to := vfs.NewMem()
	read, err := Import(testOptions(to), bytes.NewReader(image))
	mustDo(t, err)
	if read.Instance != c.InstanceID() || len(read.Files) != 2 || read.Position != 7 || len(read.Tokens) != 1 {
		t.Errorf("the image says %+v", read)
	}
	got := rawRecords(t, to)
	late := string(eventKey(1, [16]byte{3}))
	for _, k := range []string{string(commitsKey), late} {
		delete(want, k)
	}
	if _, ok := got[late]; ok {
		t.Error("an event id that was remembered later is there")
	}
	delete(got, string(commitsKey))
	if !maps.Equal(got, want) {
		t.Errorf("the imported records are\n%x\nwant\n%x", got, want)
	}
	again := mustOpen(t, to)
	if id := again.AllocateFileID(); id <= read.Files[0].ID {
		t.Errorf("file id %d comes twice", id)
	}
	mustClose(t, again)
}

// TestPictureWithOtherFiles writes the files and the position that are given.
func TestPictureWithOtherFiles(t *testing.T) {
	c := sampleCatalog(t, vfs.NewMem())
	p, err := c.TakePicture()
	mustDo(t, err)
	late := sampleFile(c.AllocateFileID(), 3)
	mustCommit(t, c, Edit{Add: []*schema.File{late}, Position: 20})
	var image bytes.Buffer
	mustDo(t, p.WriteImage(&image, Contents{Files: []*schema.File{late}, Position: 12}))
	mustDo(t, p.Close())
	mustClose(t, c)
	read, err := ReadImage(&image)
	mustDo(t, err)
	if len(read.Files) != 1 || read.Files[0].ID != late.ID || read.Position != 12 {
		t.Errorf("the image has the files %v and position %d", read.Files, read.Position)
	}
}

// TestDamagedImageIsRefused changes each byte of an image and cuts it anywhere. The frame of the
// compression has bits that mean nothing: then what is read is the same.
func TestDamagedImageIsRefused(t *testing.T) {
	c := sampleCatalog(t, vfs.NewMem())
	image := imageOf(t, c)
	mustClose(t, c)
	whole, err := ReadImage(bytes.NewReader(image))
	mustDo(t, err)
	for at := range image {
		if _, err := ReadImage(bytes.NewReader(image[:at])); err == nil {
			t.Errorf("cut at %d it is read", at)
		}
		changed := bytes.Clone(image)
		changed[at] ^= 0x04
		if read, err := ReadImage(bytes.NewReader(changed)); err == nil && !reflect.DeepEqual(read, whole) {
			t.Errorf("byte %d is changed, and it is read", at)
		}
	}
}

// FuzzReadImage reads anything without a panic, and nothing as an image that is none.
func FuzzReadImage(f *testing.F) {
	c := sampleCatalog(f, vfs.NewMem())
	image := imageOf(f, c)
	mustClose(f, c)
	f.Add(image)
	f.Add(image[:len(image)/2])
	f.Add([]byte(imageMagic))
	f.Fuzz(func(t *testing.T, image []byte) {
		read, err := ReadImage(bytes.NewReader(image))
		if err == nil && (read.Schema == nil || read.Instance == "") {
			t.Errorf("%x is read as %+v", image, read)
		}
	})
}
