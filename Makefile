# `make` lists what there is. CI (.ci/run) calls these targets and no others.

VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL     = go tool -modfile=tools/go.mod
FLAGS    ?=
BENCH    ?= .
COUNT    ?= 1
FUZZTIME ?= 10s

.PHONY: help build run test lint generate bench bench-dns bench-overload fuzz faults scale clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile

build: ## build the static binaries bin/muster and bin/muster-bench
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/muster ./cmd/muster-bench

run: build ## build and start a throw-away server, agent and sample service
	bin/muster dev

test: ## test everything in random order (FLAGS=-v), with the race detector where C compiles
	@cc=$$(go env CC); race=; \
	if printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | $$cc -x c -o /dev/null - 2>/dev/null; then \
		echo "race detector on ($$cc)"; race=-race; export CGO_ENABLED=1; \
	else \
		echo "race detector off: no C compiler"; export CGO_ENABLED=0; \
	fi; \
	go test $$race -shuffle=on -timeout 10m $(FLAGS) ./... && \
	cd test/sdk && go test $$race -shuffle=on -timeout 10m $(FLAGS) ./...

lint: ## check format, style, go.mod and known vulnerabilities
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi
	go mod tidy -diff
	cd test/sdk && go mod tidy -diff
	$(TOOL) golangci-lint run ./...
	cd test/sdk && go tool -modfile=../../tools/go.mod golangci-lint run ./...
	@tools/vuln ./...

generate: ## write generated files anew; leaves a clean tree clean
	go generate ./...

bench: ## run the benchmarks (BENCH=regexp, COUNT=10 for benchstat)
	@dirs=$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r -n 1 dirname | sort -u); \
	if [ -z "$$dirs" ]; then echo "no benchmarks"; exit 0; fi; \
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $$dirs

# ROUNDS=1 MIXES=A CONTESTANTS=echo,muster,nsd is a short look. BASELINE names another muster to compare with.
bench-dns: build ## measure what a DNS answer costs, beside other servers, for some 15 minutes; results in bin/bench-dns
	@missing=; for need in gcc:gcc dnsperf:dnsperf nsd:nsd knotd:knot; do \
		PATH=$$PATH:/usr/sbin:/sbin command -v "$${need%:*}" >/dev/null || missing="$$missing $${need#*:}"; \
	done; \
	if [ -n "$$missing" ]; then echo "not installed; on Debian: apt-get install$$missing"; exit 1; fi
	MUSTER_BINARY=$(CURDIR)/bin/muster go test ./test/benchdns -run TestContest -count=1 -v -timeout 120m -benchdns.out $(CURDIR)/bin/bench-dns \
		$(if $(ROUNDS),-benchdns.rounds $(ROUNDS)) $(if $(MIXES),-benchdns.mixes $(MIXES)) $(if $(CONTESTANTS),-benchdns.contestants $(CONTESTANTS)) \
		$(if $(BASELINE),-benchdns.baseline $(BASELINE)) $(FLAGS)

bench-overload: build ## ask a server twice what it can answer, for a minute on one processor and for one on two
	MUSTER_BINARY=$(CURDIR)/bin/muster go test ./test/benchdns -run TestOverload -count=1 -v -timeout 30m -benchdns.overload 60s $(FLAGS)

fuzz: ## run every fuzz test, one by one, for FUZZTIME (10s)
	@set -e; grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | sed 's/:func / /' | \
	while read -r file name; do \
		echo "$$name in $$(dirname $$file)"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)" </dev/null; \
	done

faults: ## break clusters of real processes for half an hour, and check what was answered (FLAGS=-faults.seed=N)
	go test ./test/faults -count=1 -v -timeout 80m -faults.long $(FLAGS)

scale: ## measure a million instances, for half an hour (FLAGS='-run TestMany')
	go test ./test/scale -count=1 -v -timeout 90m -scale.services=100000 -scale.agents=1000 -scale.big=50000 -scale.rate=1000 \
		-scale.questions=50000 -scale.calls=3000 -scale.beats=10000 -scale.seconds=30 $(FLAGS)

clean: ## remove what make built; data directories stay
	rm -rf bin
