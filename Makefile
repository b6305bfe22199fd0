# make        build bin/trainer
# make test   what needs nothing but Go
# make race   the same under the race detector
# make bench  benchmarks, one after another
# make lint   gofmt, go vet, staticcheck
# make gen    the assembly of kernels/cpu from its generator
# make ci     everything that must hold of a commit

STATICCHECK := $(shell sed -n 's/^staticcheck=\([^ ]*\).*/\1/p' .ci/run)

.PHONY: build test race bench lint gen ci clean
build:
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

test:
	go test ./...

race:
	go test -race ./...

bench:
	go test -run '^$$' -bench . -benchmem -p 1 ./...

lint:
	@files=$$(git ls-files '*.go' | xargs gofmt -l); [ -z "$$files" ] || { echo "gofmt would change: $$files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

gen:
	cd kernels/cpu && go generate ./...

ci:
	.ci/run

clean:
	rm -rf bin
