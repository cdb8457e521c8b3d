package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// split cuts text with small limits and checks what holds for every input: the chunks
// are the text, and each knows the line it starts on.
func split(t interface{ Fatalf(string, ...any) }, text string, maxLines, maxBytes int) []string {
	c := &chunker{src: iotest.OneByteReader(strings.NewReader(text)), maxLines: maxLines, maxBytes: maxBytes}
	var chunks []string
	var all strings.Builder
	for {
		got, err := c.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(got.body) == 0 {
			t.Fatalf("%q: empty chunk", text)
		}
		if len(got.body) > maxBytes {
			t.Fatalf("%q: chunk of %d bytes, limit %d", text, len(got.body), maxBytes)
		}
		if want := strings.Count(all.String(), "\n") + 1; got.firstLine != want {
			t.Fatalf("%q: chunk %q says line %d, is line %d", text, got.body, got.firstLine, want)
		}
		all.Write(got.body)
		chunks = append(chunks, string(got.body))
	}
	if all.String() != text {
		t.Fatalf("chunks are %q, text is %q", all.String(), text)
	}
	return chunks
}

func TestChunksEndAtLineEnds(t *testing.T) {
	cases := []struct {
		name, text         string
		maxLines, maxBytes int
		want               []string
	}{
		{"by lines", "a v=1\nb v=1\nc v=1\n", 2, 100, []string{"a v=1\nb v=1\n", "c v=1\n"}},
		{"by bytes", "a v=1\nb v=1\nc v=1\n", 9, 12, []string{"a v=1\nb v=1\n", "c v=1\n"}},
		{"no last line end", "a v=1\nb v=1", 1, 100, []string{"a v=1\n", "b v=1"}},
		{"blank lines and comments", "\n# x \"y\na v=1\n", 2, 100, []string{"\n# x \"y\n", "a v=1\n"}},
		{"line end in a string", "a v=\"x\ny\"\nb v=1\n", 1, 100, []string{"a v=\"x\ny\"\n", "b v=1\n"}},
		{"escaped quote in a string", "a v=\"x\\\"\ny\"\nb v=1\n", 1, 100, []string{"a v=\"x\\\"\ny\"\n", "b v=1\n"}},
		{"quote in a tag", "a,t=\"x v=1\nb v=1\n", 1, 100, []string{"a,t=\"x v=1\n", "b v=1\n"}},
		{"quote behind an escaped space", "a,t=x\\ \"y v=1\nb v=1\n", 1, 100, []string{"a,t=x\\ \"y v=1\n", "b v=1\n"}},
		{"quote that never ends", "a v=\"x\nb v=1\nc v=1\n", 1, 100, []string{"a v=\"x\n", "b v=1\n", "c v=1\n"}},
		{"nothing", "", 1, 100, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, split(t, c.text, c.maxLines, c.maxBytes)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChunkerGivesUpOnALineThatDoesNotFit(t *testing.T) {
	c := &chunker{src: strings.NewReader("a v=1\nb,t=" + strings.Repeat("x", 50) + " v=1\n"), maxLines: 9, maxBytes: 20}
	if got, err := c.next(); err != nil || string(got.body) != "a v=1\n" {
		t.Fatalf("%q, %v", got.body, err)
	}
	if _, err := c.next(); err == nil || !strings.Contains(err.Error(), "line 2 is longer") {
		t.Fatalf("got %v", err)
	}
}

// TestUnclosedQuoteCostsOneLineOnly: beyond the longest string a quote cannot have been
// meant, so that the lines behind it are lines again.
func TestUnclosedQuoteCostsOneLineOnly(t *testing.T) {
	rest := strings.Repeat("b v=1\n", maxStringBytes)
	c := newChunker(strings.NewReader("a v=\"x\n" + rest))
	c.maxLines = 1
	if got, err := c.next(); err != nil || string(got.body) != "a v=\"x\n" {
		t.Fatalf("%.40q, %v", got.body, err)
	}
}

func TestChunkerPassesReadErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	c := newChunker(io.MultiReader(strings.NewReader("a v=1\n"), iotest.ErrReader(broken)))
	if _, err := c.next(); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

// TestAnyTextIsCutWithoutLoss draws lines from pieces that open and close quotes.
func TestAnyTextIsCutWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SampledFrom([]string{"a", " ", "\n", "\"", "\\", "#", "=", "\r\n", "v=1 "}))
		text := strings.Join(pieces.Draw(t, "pieces"), "")
		split(t, text, rapid.IntRange(1, 4).Draw(t, "lines"), len(text)+1)
	})
}

func TestGzipIsRecognisedByItsBytes(t *testing.T) {
	l := loader{}
	packed, err := l.pack([]byte("a v=1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range [][]byte{packed, []byte("a v=1\n"), nil, []byte("x")} {
		r, err := decompress(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		want := string(in)
		if bytes.Equal(in, packed) {
			want = "a v=1\n"
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
