package flight

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/schema"
)

// Names are InfluxDB 3's: a database is seen as one catalog with three schemas.
const (
	catalogName = "public"
	tableSchema = "iox" // of the user's tables
)

var schemaNames = []string{"information_schema", tableSchema, "system"}

// Each command about metadata is its own ticket.

func metadataInfo(d *flight.FlightDescriptor, schema *arrow.Schema) (*flight.FlightInfo, error) {
	info := newInfo(d, d.GetCmd())
	info.Schema = flight.SerializeSchema(schema, memory.DefaultAllocator)
	return info, nil
}

// answerWith is an answer of one record, which fill appends rows to.
func answerWith(schema *arrow.Schema, fill func(*array.RecordBuilder)) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	fill(b)
	chunks := make(chan flight.StreamChunk, 1)
	chunks <- flight.StreamChunk{Data: b.NewRecordBatch()}
	close(chunks)
	return schema, chunks, nil
}

// noRows is an answer without rows.
func noRows(schema *arrow.Schema) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerWith(schema, func(*array.RecordBuilder) {})
}

// appendTexts appends a row to the first columns of a builder, which are strings.
func appendTexts(b *array.RecordBuilder, texts ...string) {
	for i, text := range texts {
		b.Field(i).(*array.StringBuilder).Append(text)
	}
}

// isCatalog reports whether a filter, where there is one, lets the catalog pass.
func isCatalog(filter *string) bool { return filter == nil || *filter == catalogName }

func (*sqlServer) GetFlightInfoCatalogs(_ context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.Catalogs)
}

func (*sqlServer) DoGetCatalogs(context.Context) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerWith(schema_ref.Catalogs, func(b *array.RecordBuilder) { appendTexts(b, catalogName) })
}

func (*sqlServer) GetFlightInfoSchemas(_ context.Context, _ flightsql.GetDBSchemas, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.DBSchemas)
}

func (*sqlServer) DoGetDBSchemas(_ context.Context, cmd flightsql.GetDBSchemas) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerWith(schema_ref.DBSchemas, func(b *array.RecordBuilder) {
		for _, name := range schemaNames {
			if isCatalog(cmd.GetCatalog()) && matches(cmd.GetDBSchemaFilterPattern(), name) {
				appendTexts(b, catalogName, name)
			}
		}
	})
}

func (*sqlServer) GetFlightInfoPrimaryKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.PrimaryKeys)
}

// DoGetPrimaryKeys lists what tells two rows of a table apart: the tags, and the time.
func (s *sqlServer) DoGetPrimaryKeys(ctx context.Context, ref flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	t, err := s.table(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		return noRows(schema_ref.PrimaryKeys)
	}
	return answerWith(schema_ref.PrimaryKeys, func(b *array.RecordBuilder) {
		add := func(name string) {
			sequence := b.Field(4).(*array.Int32Builder)
			sequence.Append(int32(sequence.Len() + 1))
			appendTexts(b, catalogName, tableSchema, t.Name, name)
			b.Field(5).AppendNull()
		}
		for _, tag := range t.Tags() {
			add(tag.Name)
		}
		add(schema.TimeColumn)
	})
}

// table finds a user's table; nil is none.
func (s *sqlServer) table(ctx context.Context, ref flightsql.TableRef) (*schema.Table, error) {
	b, db, err := s.database(ctx)
	if err != nil {
		return nil, err
	}
	if !isCatalog(ref.Catalog) || ref.DBSchema != nil && *ref.DBSchema != tableSchema {
		return nil, nil
	}
	definition, ok := b.engine.Schema().Database(db)
	if !ok {
		return nil, databaseNotFound(db)
	}
	t, _ := definition.Table(ref.Table)
	return t, nil
}

// database returns the database of a call's metadata, if the caller may read it.
func (s *sqlServer) database(ctx context.Context) (*backend, string, error) {
	t := &ticket{}
	b, err := s.admit(ctx, t)
	return b, t.Database, err
}

// Nothing refers to anything here.

func (*sqlServer) GetFlightInfoExportedKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.ExportedKeys)
}

func (*sqlServer) DoGetExportedKeys(context.Context, flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return noRows(schema_ref.ExportedKeys)
}

func (*sqlServer) GetFlightInfoImportedKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.ImportedKeys)
}

func (*sqlServer) DoGetImportedKeys(context.Context, flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return noRows(schema_ref.ImportedKeys)
}

func (*sqlServer) GetFlightInfoCrossReference(_ context.Context, _ flightsql.CrossTableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return metadataInfo(d, schema_ref.CrossReference)
}

func (*sqlServer) DoGetCrossReference(context.Context, flightsql.CrossTableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return noRows(schema_ref.CrossReference)
}
