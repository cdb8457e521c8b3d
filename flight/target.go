package flight

import (
	"context"
	"slices"

	"google.golang.org/grpc/metadata"
)

// databaseKeys are the keys of metadata that name the database of a call. All but the first
// are those of older clients of InfluxDB.
var databaseKeys = []string{"database", "bucket", "bucket-name", "iox-namespace-name"}

// databaseOf returns the database that a call's metadata names.
func databaseOf(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	var names []string
	for _, key := range databaseKeys {
		for _, name := range md.Get(key) {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	switch len(names) {
	case 0:
		return "", invalid("no 'database' header in request")
	case 1:
		return names[0], nil
	}
	return "", invalid("the metadata of the call names two databases, %q and %q; name one, under the key 'database'", names[0], names[1])
}
