# Programs, packages, tests. `make help` lists the targets.

VERSION ?= 0.1.0
ARCH ?= $(shell go env GOARCH)
PROGRAMS = patchwarrantd patchwarrant patchwarrant-agent patchwarrant-executor
PACKAGES = cli server agent executor
TOOL = go tool -modfile=tools/go.mod

# Everything in a package gets the time of the commit, so that two builds of one commit are equal byte for byte.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
export VERSION ARCH

.PHONY: build packages demo test world pages pictures lint accuracy bench-match bench-files bench-pages bench-import help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: ## the programs, static, into bin/
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -ldflags='-s -w -X main.version=$(VERSION)' -o bin/ $(PROGRAMS:%=./cmd/%)

packages: build ## .deb and .rpm of each program into dist/
	rm -rf dist
	mkdir dist
	set -e; for package in $(PACKAGES); do for format in deb rpm; do \
		$(TOOL) nfpm package --config packaging/$$package/nfpm.yaml --packager $$format --target dist/; \
	done; done

demo: need packages ## two Debian hosts patched under two signatures, and three attacks that fail
	go run ./demo

# SQLite's C, translated to Go, works on memory that the race detector does not see, and takes most of the tests' time under it.
# Its driver and everything else is watched.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

test: need ## vet and all tests, with the race detector, on both database engines
	go vet ./...
	.ci/with-postgres go test $(RACE) $$(go list ./... | grep -v /bench/ | grep -v /internal/; go list ./internal/... | sort -r) # long ones first
	go test ./bench/... # without: they bound memory, of which the detector takes a multiple

world: need packages ## the whole flow on real hosts, as a test
	go vet -tags world ./demo/... ./packaging
	go test -tags world -count=1 -timeout 20m ./demo/... ./packaging

BROWSER = cd test/pages && npm ci --ignore-scripts --no-audit --no-fund --silent

pages: need build ## the people's pages in a real browser, as a test
	$(BROWSER)
	go vet -tags pages ./test/pages/...
	.ci/with-postgres go test -tags pages -count=1 -timeout 15m -run TestPages ./test/pages/world

pictures: need build ## the pictures of docs/pictures
	$(BROWSER)
	go test -tags pages -count=1 -timeout 10m -run TestPictures ./test/pages/world

lint: ## static checks
	$(TOOL) golangci-lint run

bench-match: need ## version compare and fleet matching, beside debsecan
	go run ./bench/match

accuracy: ## our verdicts beside sample reports of scanners: docs/accuracy.md
	go run ./bench/accuracy -write

bench-files: need ## file state of a real tree, beside AIDE
	go run ./bench/files

bench-pages: need ## every page and list at 100,000 hosts under 20 people
	go run ./bench/pages

bench-import: ## every file of a directory of real input in one go: records, time, memory, refusals
	go run ./bench/import

.PHONY: need
need:
	@.ci/need
