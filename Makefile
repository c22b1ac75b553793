# `make` lists what there is. CI (.ci/run) calls these targets and no others.

VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL     = go tool -modfile=tools/go.mod
FLAGS    ?=
BENCH    ?= .
COUNT    ?= 1
FUZZTIME ?= 10s

# Compiling the dependencies takes minutes. All targets do it alike, so that one does it for all; only the race detector
# needs C, and its own.
export CGO_ENABLED = 0
export GOFLAGS    := $(shell go env GOFLAGS) -trimpath

.PHONY: help build run test lint generate bench bench-dns bench-overload fuzz clients faults scale sbom clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile

build: ## build the static binaries bin/muster and bin/muster-bench
	go build -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/muster ./cmd/muster-bench

run: build ## build and start a throw-away server, agent and sample service
	bin/muster dev

test: ## test everything in random order (FLAGS=-v), with the race detector where C compiles
	@tools/test $(FLAGS)

lint: ## check format, style, go.mod and known vulnerabilities
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi
	go mod tidy -diff
	$(TOOL) golangci-lint run ./...
	@for module in test/*/go.mod; do \
		(cd $$(dirname $$module) && echo "in $$(dirname $$module)" && go mod tidy -diff && go tool -modfile=../../tools/go.mod golangci-lint run ./...) || exit 1; \
	done
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

fuzz: ## run every fuzz test for FUZZTIME (10s)
	@tools/fuzz $(FUZZTIME)

# JAVA=3.0.3 PYTHON= tries that version of the Java client alone.
JAVA   ?= 2.0.4,2.2.4,2.5.1,3.0.3
PYTHON ?= 3.2.0
# Each with what goes with it: Spring Cloud and Spring Boot, and the Java client.
SPRING ?= 2025.0.0.0/2025.0.0/3.5.7,2025.1.0.0/2025.1.4/4.0.7
DUBBO  ?= 3.3.6/2.5.1
clients: ## try Nacos clients for Java and Python, Spring Cloud Alibaba and Dubbo; needs Maven, Python and their registries
	cd test/sdk && go test -run 'TestOtherClients|TestFrameworks' -count=1 -v -timeout 60m -sdk.java '$(JAVA)' -sdk.python '$(PYTHON)' \
		-sdk.spring '$(SPRING)' -sdk.dubbo '$(DUBBO)' $(FLAGS) .

faults: ## break clusters of real processes for half an hour, and check what was answered (FLAGS=-faults.seed=N)
	go test ./test/faults -count=1 -v -timeout 80m -faults.long $(FLAGS)

scale: ## measure a million instances, for half an hour (FLAGS='-run TestMany')
	go test ./test/scale -count=1 -v -timeout 90m -scale.services=100000 -scale.agents=1000 -scale.big=50000 -scale.rate=1000 \
		-scale.questions=50000 -scale.calls=3000 -scale.beats=10000 -scale.seconds=30 $(FLAGS)

sbom: build ## write what bin/muster is made of, with versions and licences, to bin/muster.cdx.json (CycloneDX)
	$(TOOL) cyclonedx-gomod bin -json -licenses -std -noserial -notimestamp -version $(VERSION) -output bin/muster.cdx.json bin/muster

clean: ## remove what make built; data directories stay
	rm -rf bin
