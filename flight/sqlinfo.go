package flight

import (
	"context"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/siltstone-db/siltstone/query"
)

// serverName is what clients show their users. InfluxDB 3 says "InfluxDB IOx"; of the
// clients that we know none looks at it.
const serverName = "Siltstone"

// sqlInfo is what the server says about its SQL. A bit set has the values of its enumeration
// in Flight SQL as positions of bits. Clients want enumerations in 64 bits.
func sqlInfo(version string) map[flightsql.SqlInfo]any {
	return map[flightsql.SqlInfo]any{
		flightsql.SqlInfoFlightSqlServerName:                        serverName,
		flightsql.SqlInfoFlightSqlServerVersion:                     version,
		flightsql.SqlInfoFlightSqlServerArrowVersion:                arrow.PkgVersion,
		flightsql.SqlInfoFlightSqlServerReadOnly:                    true,
		flightsql.SqlInfoFlightSqlServerSql:                         true,
		flightsql.SqlInfoFlightSqlServerSubstrait:                   false,
		flightsql.SqlInfoFlightSqlServerTransaction:                 int32(flightsql.SqlTransactionNone),
		flightsql.SqlInfoFlightSqlServerCancel:                      false,
		flightsql.SqlInfoFlightSqlServerBulkIngestion:               false,
		flightsql.SqlInfoFlightSqlServerIngestTransactionsSupported: false,
		flightsql.SqlInfoFlightSqlServerStatementTimeout:            int32(0),
		flightsql.SqlInfoFlightSqlServerTransactionTimeout:          int32(0),

		flightsql.SqlInfoDDLCatalog:           false,
		flightsql.SqlInfoDDLSchema:            false,
		flightsql.SqlInfoDDLTable:             false,
		flightsql.SqlInfoIdentifierCase:       int64(flightsql.SqlCaseSensitivityCaseInsensitive),
		flightsql.SqlInfoQuotedIdentifierCase: int64(flightsql.SqlCaseSensitivityCaseInsensitive),
		flightsql.SqlInfoIdentifierQuoteChar:  `"`,
		flightsql.SqlInfoSearchStringEscape:   `\`,
		flightsql.SqlInfoExtraNameChars:       "",
		flightsql.SqlInfoNullOrdering:         int64(flightsql.SqlNullOrderingSortAtEnd),
		flightsql.SqlInfoKeywords: []string{
			"ANTI", "ASOF", "EXCLUDE", "FILTER", "ILIKE", "LATERAL", "LIMIT", "OFFSET", "PIVOT", "POSITIONAL",
			"QUALIFY", "REPLACE", "SAMPLE", "SEMI", "SUMMARIZE", "UNPIVOT", "USING",
		},
		flightsql.SqlInfoNumericFunctions: []string{
			"abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cot", "degrees", "exp", "floor", "greatest",
			"least", "ln", "log", "log10", "log2", "mod", "pi", "pow", "radians", "random", "round", "sign", "sin", "sqrt", "tan", "trunc",
		},
		flightsql.SqlInfoStringFunctions: []string{
			"ascii", "chr", "concat", "concat_ws", "contains", "ends_with", "instr", "left", "length", "lower", "lpad", "ltrim",
			"regexp_extract", "regexp_matches", "regexp_replace", "repeat", "replace", "reverse", "right", "rpad", "rtrim",
			"split_part", "starts_with", "strpos", "substr", "substring", "trim", "upper",
		},
		flightsql.SqlInfoSystemFunctions: []string{"coalesce", "ifnull", "nullif"},
		flightsql.SqlInfoDateTimeFunctions: []string{
			"date_bin", "date_part", "date_trunc", "datepart", "extract", "now", "strftime", "strptime", "to_timestamp",
		},

		flightsql.SqlInfoAllTablesAreASelectable:                true,
		flightsql.SqlInfoSupportsColumnAliasing:                 true,
		flightsql.SqlInfoNullPlusNullIsNull:                     true,
		flightsql.SqlInfoSupportsConvert:                        conversions(),
		flightsql.SqlInfoSupportsTableCorrelationNames:          true,
		flightsql.SqlInfoSupportsDifferentTableCorrelationNames: false,
		flightsql.SqlInfoSupportsExpressionsInOrderBy:           true,
		flightsql.SqlInfoSupportsOrderByUnrelated:               true,
		flightsql.SqlInfoSupportedGroupBy:                       int32(1<<0 | 1<<1), // unrelated, beyond select
		flightsql.SqlInfoSupportsLikeEscapeClause:               true,
		flightsql.SqlInfoSupportsNonNullableColumns:             true,
		flightsql.SqlInfoSupportedGrammar:                       int32(1<<0 | 1<<1), // minimum, core
		flightsql.SqlInfoANSI92SupportedLevel:                   int32(1 << 0),      // entry
		flightsql.SqlInfoSupportsIntegrityEnhancementFacility:   false,
		flightsql.SqlInfoOuterJoinsSupportLevel:                 int32(1<<1 | 1<<2), // limited, full

		flightsql.SqlInfoSchemaTerm:                    "schema",
		flightsql.SqlInfoProcedureTerm:                 "procedure",
		flightsql.SqlInfoCatalogTerm:                   "catalog",
		flightsql.SqlInfoCatalogAtStart:                true,
		flightsql.SqlInfoSchemasSupportedActions:       int32(0),
		flightsql.SqlInfoCatalogsSupportedActions:      int32(0),
		flightsql.SqlInfoSupportedPositionedCommands:   int32(0),
		flightsql.SqlInfoSelectForUpdateSupported:      false,
		flightsql.SqlInfoStoredProceduresSupported:     false,
		flightsql.SqlInfoSupportedSubqueries:           int32(1<<0 | 1<<1 | 1<<2 | 1<<3), // comparisons, exists, in, quantified
		flightsql.SqlInfoCorrelatedSubqueriesSupported: true,
		flightsql.SqlInfoSupportedUnions:               int32(1<<0 | 1<<1), // union, union all
		flightsql.SqlInfoMaxStatementLen:               int64(query.DefaultMaxSQLBytes),
		flightsql.SqlInfoMaxStatements:                 int64(0), // no bound
		flightsql.SqlInfoMaxConnections:                int64(0),
		flightsql.SqlInfoMaxTablesInSelect:             int64(0),
		flightsql.SqlInfoMaxColumnsInSelect:            int64(0),
		flightsql.SqlInfoMaxColumnsInGroupBy:           int64(0),
		flightsql.SqlInfoMaxColumnsInOrderBy:           int64(0),
		flightsql.SqlInfoMaxColumnsInIndex:             int64(0),
		flightsql.SqlInfoMaxColumnsInTable:             int64(0),
		flightsql.SqlInfoMaxColumnNameLen:              int64(1<<16 - 1),
		flightsql.SqlInfoMaxTableNameLen:               int64(1<<16 - 1),
		flightsql.SqlInfoMaxCatalogNameLen:             int64(0),
		flightsql.SqlInfoDBSchemaNameLen:               int64(0),
		flightsql.SqlInfoMaxProcedureNameLen:           int64(0),
		flightsql.SqlInfoMaxCursorNameLen:              int64(0),
		flightsql.SqlInfoMaxUsernameLen:                int64(0),
		flightsql.SqlInfoMaxIndexLen:                   int64(0),
		flightsql.SqlInfoMaxRowSize:                    int64(0),
		flightsql.SqlInfoMaxRowSizeIncludesBlobs:       true,
		flightsql.SqlInfoMaxCharLiteralLen:             int64(query.DefaultMaxSQLBytes),
		flightsql.SqlInfoMaxBinaryLiteralLen:           int64(query.DefaultMaxSQLBytes),
		flightsql.SqlInfoDefaultTransactionIsolation:   int64(0), // none
		flightsql.SqlInfoTransactionsSupported:         false,
		flightsql.SqlInfoSavePointsSupported:           false,
		flightsql.SqlInfoSupportedResultSetTypes:       int32(1 << 1), // forward only
		flightsql.SqlInfoBatchUpdatesSupported:         false,
		flightsql.SqlInfoNamedParametersSupported:      true,
		flightsql.SqlInfoLocatorsUpdateCopy:            false,

		flightsql.SqlInfoSupportedTransactionsIsolationlevels:          int32(0),
		flightsql.SqlInfoDataDefinitionCausesTransactionCommit:         false,
		flightsql.SqlInfoDataDefinitionsInTransactionsIgnored:          false,
		flightsql.SqlInfoStoredFunctionsUsingCallSyntaxSupported:       false,
		flightsql.SqlInfoSupportedConcurrenciesForResultSetForwardOnly: int32(1 << 1), // read only
	}
}

// conversions says that CAST turns any of the common types into any other.
func conversions() map[int32][]int32 {
	types := []int32{
		int32(flightsql.SqlConvertBigInt), int32(flightsql.SqlConvertDate), int32(flightsql.SqlConvertDecimal),
		int32(flightsql.SqlConvertFloat), int32(flightsql.SqlConvertInteger), int32(flightsql.SqlConvertReal),
		int32(flightsql.SqlConvertTimestamp), int32(flightsql.SqlConvertVarchar),
	}
	varchar := []int32{int32(flightsql.SqlConvertVarchar)}
	all := map[int32][]int32{}
	for _, t := range types {
		switch t {
		case int32(flightsql.SqlConvertVarchar):
			all[t] = types
		case int32(flightsql.SqlConvertDate), int32(flightsql.SqlConvertTimestamp):
			all[t] = append(slices.Clone(varchar), int32(flightsql.SqlConvertDate), int32(flightsql.SqlConvertTimestamp))
		default:
			all[t] = append(slices.Clone(varchar), int32(flightsql.SqlConvertBigInt), int32(flightsql.SqlConvertDecimal),
				int32(flightsql.SqlConvertFloat), int32(flightsql.SqlConvertInteger), int32(flightsql.SqlConvertReal))
		}
	}
	return all
}

// newSQLServer returns the commands' server, with what it says about itself.
func newSQLServer(s *Server) *sqlServer {
	server := &sqlServer{Server: s, infos: sqlInfo(s.opts.Version)}
	server.Alloc = memory.DefaultAllocator // else the library sets it, without a lock
	for id, v := range server.infos {
		if err := server.RegisterSqlInfo(id, v); err != nil {
			panic(err) // a type in our own table
		}
	}
	return server
}

// knownInfos are the ids of a request that are known, in order; all of them when it
// names none. The library would fail at an unknown one, which a newer client may ask for.
type knownInfos []uint32

func (k knownInfos) GetInfo() []uint32 { return k }

// DoGetSqlInfo answers with what is known of the wanted information.
func (s *sqlServer) DoGetSqlInfo(ctx context.Context, cmd flightsql.GetSqlInfo) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	var known knownInfos
	if len(cmd.GetInfo()) == 0 {
		for _, id := range slices.Sorted(maps.Keys(s.infos)) {
			known = append(known, uint32(id))
		}
	}
	for _, id := range cmd.GetInfo() {
		if _, ok := s.infos[flightsql.SqlInfo(id)]; ok {
			known = append(known, id)
		}
	}
	if len(known) == 0 {
		return noRows(schema_ref.SqlInfo)
	}
	return s.BaseServer.DoGetSqlInfo(ctx, known)
}
