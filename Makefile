# make demo    build, start a server, load real data, show queries
# make test    all tests
# make clients the end-to-end tests with real client programs
# make check   lint and test; CI runs these and clients
# make race    the tests of query and what is above it, under the race detector
# make torture the long tests of reliability, for MINUTES minutes
#
# Go 1.26, gcc and g++ are needed (DuckDB is linked statically). GOFLAGS of the
# environment is respected.

TAGS    := duckdb_arrow
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOLS   := bin/tools

# The packages below query. They need no cgo, and are tested under the race detector too.
PURE := ./schema/... ./lineprotocol/... ./influxql/... ./wal/... ./catalog/... ./partition/... ./persist/... ./engine/... ./internal/durable/... ./internal/linear/...

FUZZTIME  ?= 5s
BENCHTIME ?= 1s
MINUTES   ?= 30

.PHONY: build test race clients clients-all lint check bench microbench demo fuzz torture clean tools

build:
	go build -tags $(TAGS) -trimpath -ldflags "$(LDFLAGS)" -o bin/siltstone ./cmd/siltstone

test:
	go test -tags $(TAGS) -timeout 20m ./...
	go test -race -timeout 30m $(PURE)

# race is for the packages that link DuckDB, of whose C++ it sees nothing: some ten minutes on
# two cores, one package at a time. test does the others.
race:
	go test -race -short -p 1 -timeout 20m -tags $(TAGS) ./auth ./query ./ingestapi ./flight ./httpapi ./cmd/... ./internal/influx1

# clients writes and reads through the binary with the client libraries for Python, Go,
# JavaScript and Java; clients-all with Telegraf and the shell of InfluxDB 1 too, which take a few
# minutes to get, and asks a server of InfluxDB 1 again what internal/influx1 has recorded.
# internal/clients/README.md has more.
clients:
	cd internal/clients && go vet ./... && go test -count=1 -timeout 20m ./...

clients-all:
	cd internal/clients && SILTSTONE_CLIENTS=all go test -count=1 -timeout 30m ./...
	SILTSTONE_CLIENTS=all go test -tags $(TAGS) -count=1 -run TestRecording ./internal/influx1

# The import graph and the package comments are checked by the test of internal/lint.
lint: tools
	@files=$$($(TOOLS)/gofumpt -l .); if [ -n "$$files" ]; then echo "gofumpt would change:"; echo "$$files"; exit 1; fi
	go vet -tags $(TAGS) ./...
	$(TOOLS)/staticcheck -tags $(TAGS) ./...
	GOFLAGS="$(GOFLAGS) -tags=$(TAGS)" $(TOOLS)/go-errorlint ./...
	go test ./internal/lint
	CGO_ENABLED=0 go build $(PURE)

tools:
	@cd internal/tools && go build -o ../../$(TOOLS)/ tool

check: lint test

# bench runs the scenarios of bench/doc.go that need no other database, some five minutes.
bench: build
	go run -tags $(TAGS) ./bench all --server bin/siltstone

# microbench runs the benchmarks beside the code.
microbench:
	go test -tags $(TAGS) -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

demo: build
	bin/siltstone demo

# fuzz runs every fuzz target for FUZZTIME. Minimising is bounded by count, because by time
# (the default is a minute) it looks like a hang.
fuzz:
	@set -e; for pkg in $$(go list -tags $(TAGS) ./...); do \
		for target in $$(go test -tags $(TAGS) -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -tags $(TAGS) -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg; \
		done; \
	done

# torture runs the long versions of the tests that try to lose, double or change a point,
# each in turn with new seeds, and every fuzz target. docs/reliability.md has its last table.
torture:
	go run ./internal/torture --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# clean leaves .siltstone alone: the demo's server may be using it.
clean:
	rm -rf bin
