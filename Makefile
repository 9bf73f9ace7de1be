# make test is all that a change must pass, on a machine with Go, Node and
# Debian's apt. make proof is what takes longer; its figures are in docs/proof.md.

GO      ?= go
BIN     := bin
LINT    := $(BIN)/golangci-lint
VULN    := $(BIN)/govulncheck
FUZZ    ?= 3s

.PHONY: test deps build lint vuln unit browser fuzz generated proof bench clean

test: deps
	scripts/test

deps:
	scripts/deps

build:
	$(GO) build -trimpath -o $(BIN)/abide ./cmd/abide

$(LINT): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(VULN): tools/go.mod tools/go.sum
	cd tools && $(GO) build -o ../$(VULN) golang.org/x/vuln/cmd/govulncheck

lint: $(LINT)
	$(LINT) run ./...

# govulncheck asks vuln.go.dev for known vulnerabilities. Where that cannot be
# reached it says so and does not fail; a vulnerability found does.
vuln: $(VULN)
	scripts/vuln $(VULN)

unit: deps
	$(GO) test -race ./...

browser: deps
	scripts/browser

fuzz:
	scripts/fuzz $(FUZZ)

generated:
	scripts/generated

# Hundreds of kills, million-row runs, long histories.
proof: deps
	scripts/proof

bench:
	$(GO) test -run "^$$" -bench . -benchmem ./policy/... ./internal/vault/... ./bench/...
	cd bench/peers && $(GO) test -run "^$$" -bench . -benchmem ./...

clean:
	rm -rf $(BIN) web/node_modules
