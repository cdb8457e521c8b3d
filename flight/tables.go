package flight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/metadata"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/query"
)

const (
	baseTable = "BASE TABLE"
	viewTable = "VIEW"
	// baseTableKey is the key of metadata by which a client has base tables called otherwise:
	// some tools know TABLE only.
	baseTableKey = "x-influxdata-base-table-type"
)

func databaseNotFound(name string) error {
	return fmt.Errorf("%w: %s", engine.ErrDatabaseNotFound, name)
}

// baseTableName is what a call wants base tables to be called.
func baseTableName(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	if values := md.Get(baseTableKey); len(values) > 0 && values[0] != "" {
		return values[0]
	}
	return baseTable
}

func (*sqlServer) GetFlightInfoTableTypes(_ context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.TableTypes)
}

func (*sqlServer) DoGetTableTypes(ctx context.Context) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerWith(schema_ref.TableTypes, func(b *array.RecordBuilder) {
		appendTexts(b, baseTableName(ctx))
		appendTexts(b, viewTable)
	})
}

func (*sqlServer) GetFlightInfoTables(_ context.Context, cmd flightsql.GetTables, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if cmd.GetIncludeSchema() {
		return metadataInfo(d, schema_ref.TablesWithIncludedSchema)
	}
	return metadataInfo(d, schema_ref.Tables)
}

// tableName is a table as SQL knows it.
type tableName struct{ schema, name, kind string }

// DoGetTables lists the tables of a database, as information_schema.tables has them.
func (s *sqlServer) DoGetTables(ctx context.Context, cmd flightsql.GetTables) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	b, database, err := s.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := listTables(ctx, b, database)
	if err != nil {
		return nil, nil, err
	}
	answer, base := schema_ref.Tables, baseTableName(ctx)
	if cmd.GetIncludeSchema() {
		answer = schema_ref.TablesWithIncludedSchema
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, answer)
	defer builder.Release()
	for _, t := range all {
		if t.kind == baseTable {
			t.kind = base
		}
		if !isWanted(cmd, t, base) {
			continue
		}
		if cmd.GetIncludeSchema() {
			described, err := b.querier.Describe(ctx, query.Request{Database: database, SQL: "SELECT * FROM " + t.quoted()})
			if err != nil {
				return nil, nil, fmt.Errorf("schema of table %s: %w", t.quoted(), err)
			}
			builder.Field(4).(*array.BinaryBuilder).Append(flight.SerializeSchema(query.ArrowSchema(described.Schema), memory.DefaultAllocator))
		}
		appendTexts(builder, catalogName, t.schema, t.name, t.kind)
	}
	chunks := make(chan flight.StreamChunk, 1)
	chunks <- flight.StreamChunk{Data: builder.NewRecordBatch()}
	close(chunks)
	return answer, chunks, nil
}

// isWanted applies the filters of a command. A base table is also found as TABLE, which is
// what many tools ask for without looking at the types that there are.
func isWanted(cmd flightsql.GetTables, t tableName, base string) bool {
	types := cmd.GetTableTypes()
	return isCatalog(cmd.GetCatalog()) &&
		matches(cmd.GetDBSchemaFilterPattern(), t.schema) && matches(cmd.GetTableNameFilterPattern(), t.name) &&
		(len(types) == 0 || slices.Contains(types, t.kind) || t.kind == base && slices.Contains(types, "TABLE"))
}

// quoted is the table in SQL.
func (t *tableName) quoted() string { return sqltext.Name(t.schema) + "." + sqltext.Name(t.name) }

func listTables(ctx context.Context, b *backend, database string) ([]tableName, error) {
	rows, err := b.querier.Query(ctx, query.Request{
		Database: database, Origin: originOf(ctx, protocolSQL),
		SQL: "SELECT table_schema, table_name, table_type FROM information_schema.tables ORDER BY 1, 2",
	})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []tableName
	for rows.Next() {
		record := rows.Record()
		for i := range int(record.NumRows()) {
			text := func(column int) string { return strings.Clone(record.Column(column).ValueStr(i)) }
			tables = append(tables, tableName{text(0), text(1), text(2)})
		}
	}
	return tables, rows.Err()
}
