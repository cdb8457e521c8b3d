package ingestapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// specsBody is the answer of the spec routes.
type specsBody[T any] struct {
	Specs []T `json:"specs"`
}

// attributeSpec describes an attribute of contacts.
type attributeSpec struct {
	UID               string `json:"uid"`
	DisplayLabel      string `json:"displayLabel"`
	Description       string `json:"description"`
	DataType          string `json:"dataType"`
	Multivalue        bool   `json:"multivalue"`
	ReadOnly          bool   `json:"readOnly"`
	RequiredInWebhook bool   `json:"requiredInWebhook"`
	Important         bool   `json:"important"`
	Visible           bool   `json:"visible"`
	Custom            bool   `json:"custom"`
}

// eventSpec describes a type of events.
type eventSpec struct {
	UID         string `json:"uid"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Category    string `json:"category"`
	Attribution bool   `json:"attribution"`
	Automation  bool   `json:"automation"`
	Icon        string `json:"icon"`
	Emoji       string `json:"emoji"`
	Important   bool   `json:"important"`
}

// parameterSpec describes a parameter of a type of events.
type parameterSpec struct {
	Parameter   string `json:"parameter"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Icon        string `json:"icon"`
	DataType    string `json:"dataType"`
	VisualType  string `json:"visualType"`
	MaxLength   int    `json:"maxLength"`
	Required    bool   `json:"required"`
	MultiValue  bool   `json:"multiValue"`
}

// getAttributeSpecs lists the reserved attributes and those that contacts have had.
func (q *request) getAttributeSpecs() error {
	specs := make([]attributeSpec, 0, len(reserved))
	for _, a := range reserved {
		specs = append(specs, attributeSpec{
			UID: a.uid, DisplayLabel: a.label, Description: a.description, DataType: a.dataType,
			RequiredInWebhook: a.required, Important: a.important, Visible: true,
		})
	}
	for _, c := range sortedFields(q.findTable(contactsTable)) {
		if !isReserved(c.Name) {
			specs = append(specs, attributeSpec{
				UID: c.Name, DisplayLabel: c.Name, DataType: dataType(c.Type), Visible: true, Custom: true,
				Multivalue: c.Type == schema.String, // what is stored as text may be several values
			})
		}
	}
	writeJSON(q.w, http.StatusOK, specsBody[attributeSpec]{specs})
	return nil
}

// maxEventSpecs bounds an answer; more types than this are no types.
const maxEventSpecs = 1000

// getEventSpecs lists the types of the events that are stored.
func (q *request) getEventSpecs() error {
	specs := make([]eventSpec, 0)
	if q.findTable(eventsTable) != nil {
		sql := fmt.Sprintf("SELECT DISTINCT %[1]s FROM %[2]s ORDER BY 1 LIMIT %[3]d", sqltext.Name(eventType), eventsTable, maxEventSpecs)
		err := q.query(sql, nil, func(record arrow.RecordBatch) error {
			types := record.Column(0).(*array.String)
			for i := range types.Len() {
				name := strings.Clone(types.Value(i))
				specs = append(specs, eventSpec{UID: name, Name: name, Category: "custom"})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	writeJSON(q.w, http.StatusOK, specsBody[eventSpec]{specs})
	return nil
}

// countedColumns is how many columns one query counts: a query's text has a limit.
const countedColumns = 200

// getParameterSpecs lists the parameters that events of a type have had.
func (q *request) getParameterSpecs() error {
	kind := q.r.PathValue("type")
	parameters := slices.DeleteFunc(sortedFields(q.findTable(eventsTable)), func(c schema.Column) bool {
		return !strings.HasPrefix(c.Name, parameterPrefix)
	})
	if !canBeID(kind) {
		parameters = nil // no event has such a type
	}
	specs := make([]parameterSpec, 0)
	for some := range slices.Chunk(parameters, countedColumns) {
		err := q.countParameters(kind, some, func(c schema.Column) { specs = append(specs, newParameterSpec(c)) })
		if err != nil {
			return err
		}
	}
	writeJSON(q.w, http.StatusOK, specsBody[parameterSpec]{specs})
	return nil
}

// countParameters yields those of the columns in which events of the type have values.
func (q *request) countParameters(kind string, some []schema.Column, yield func(schema.Column)) error {
	counts := make([]string, len(some))
	for i, c := range some {
		counts[i] = "count(" + sqltext.Name(c.Name) + ")"
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s = $type", strings.Join(counts, ", "), eventsTable, sqltext.Name(eventType))
	return q.query(sql, map[string]any{"type": kind}, func(record arrow.RecordBatch) error {
		for i, c := range some {
			if record.Column(i).(*array.Int64).Value(0) > 0 {
				yield(c)
			}
		}
		return nil
	})
}

func newParameterSpec(c schema.Column) parameterSpec {
	name := strings.TrimPrefix(c.Name, parameterPrefix)
	s := parameterSpec{Parameter: name, Title: name, DataType: dataType(c.Type), VisualType: dataType(c.Type)}
	if c.Type == schema.String {
		s.MaxLength, s.MultiValue = MaxStringBytes, true
	}
	return s
}

// sortedFields returns a table's fields, ordered by name.
func sortedFields(t *schema.Table) []schema.Column {
	if t == nil {
		return nil
	}
	fields := slices.DeleteFunc(slices.Clone(t.Columns), func(c schema.Column) bool { return c.Type == schema.Tag })
	slices.SortFunc(fields, func(a, b schema.Column) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// dataType is what specs call a column's type.
func dataType(t schema.ColumnType) string {
	switch t {
	case schema.Float64, schema.Int64, schema.Uint64:
		return numberType
	case schema.Bool:
		return booleanType
	}
	return stringType
}
