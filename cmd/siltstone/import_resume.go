package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// copied is what a file of --resume holds: of each measurement the time before which all of
// its rows are stored.
type copied struct {
	Before map[string]int64 `json:"stored_before"`
	path   string
}

// readCopied reads the file, if it is there.
func readCopied(path string) (*copied, error) {
	c := &copied{Before: map[string]int64{}, path: path}
	if path == "" {
		return c, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil || c.Before == nil {
		return nil, fmt.Errorf("--resume %s is not what a copy has noted; remove it to copy everything: %w", path, err)
	}
	return c, nil
}

// note says that the rows of a measurement before a time are stored.
func (c *copied) note(source string, before int64) error {
	c.Before[source] = before
	if c.path == "" {
		return nil
	}
	return writeWhole("--resume", c.path, func(w io.Writer) error {
		to := json.NewEncoder(w)
		to.SetIndent("", "  ")
		return to.Encode(c)
	})
}
