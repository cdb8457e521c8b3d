package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/siltstone-db/siltstone/engine"
)

// An engine is opened on a directory. A write is durable and visible when it returns;
// a view holds files and buffers still while it is read.
func Example() {
	dir, err := os.MkdirTemp("", "siltstone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	e, err := engine.Open(engine.Options{DataDir: filepath.Join(dir, "data")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()

	result, err := e.Write(context.Background(), engine.WriteRequest{
		Database:      "home",
		Body:          []byte("room,name=hall temp=21.5 1\nroom,name=hall temp=\"warm\" 2"),
		Precision:     engine.Second,
		AcceptPartial: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Accepted, "accepted")
	for _, e := range result.Errors {
		fmt.Printf("line %d: %s\n", e.Line, e.Message)
	}

	view, err := e.View(context.Background(), "home", []string{"room"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer view.Close()
	room := view.Tables[0]
	fmt.Println(len(room.Files), "files,", room.Buffers[0].Rows, "buffered row of", room.Table.Name)
	// Output:
	// 1 accepted
	// line 2: invalid column type for column 'temp', expected iox::column_type::field::float, got iox::column_type::field::string
	// 0 files, 1 buffered row of room
}
