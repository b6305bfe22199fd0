# make        build bin/trainer
# make test   what needs nothing but Go
# make race   the same under the race detector
# make bench  Go's benchmarks, one after another
# make bench-kernels  every kernel: verified, timed, held against what the machine can do (docs/benchmarks.md)
# make bench-bm3  steps of BM3 beside PyTorch's (docs/peers/bm3_torch.py) on the data sets of MULTIMODAL; PYTHON, THREADS
# make bench-torch DATA=yelp2018  against PyTorch on the same inputs; PYTHON=python3 has torch, THREADS=1, JSON=FILE
# make lint   gofmt, go vet, staticcheck
# make gen    the assembly of kernels/cpu from its generator
# make ci     everything that must hold of a commit
#
# With CUDA, on linux/amd64 with a C compiler (kernels/cuda/toolkit says which toolkit is used):
#
# make gpu            bin/trainer with the CUDA device, in the place of make's; it needs no NVIDIA library to start
# make test-gpu       what needs the tag gpu, on an emulated GPU, which is built first: g++ 12 or later, addr2line, a processor with AVX2
# make test-on-gpu    the same on this machine's GPU; SANITIZE=1: with compute-sanitizer too (kernels/cuda/test-on-gpu)
# make images         the compiled kernels again, of the .cu files that were changed, by nvcc of CUDA 11.8 (kernels/cuda/toolkit fetch 11.8)
# make cuda-toolkit   NVIDIA's compiler and headers into .cuda, for where there are none

STATICCHECK := $(shell sed -n 's/^staticcheck=\([^ ]*\).*/\1/p' .ci/run)

.PHONY: build test race bench bench-kernels bench-bm3 bench-torch lint gen ci clean gpu test-gpu test-on-gpu images cuda-toolkit
build:
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

test:
	go test ./...

race:
	go test -race ./...

bench:
	go test -run '^$$' -bench . -benchmem -p 1 ./...

bench-kernels:
	go run ./cmd/kernelbench $(BENCH)

# Both programs are pinned to the same processors, and compute in turn.
DATA ?=
PYTHON ?= python3
THREADS ?= 1
MULTIMODAL ?= ../shared/data/multimodal
bench-bm3:
	for set in lfm2k tiktok; do \
		OMP_WAIT_POLICY=passive $(PYTHON) docs/peers/bm3_torch.py --data $(MULTIMODAL)/$$set --threads $(THREADS) --time-steps 200 && \
		NEARFAR_DATA=$(abspath $(MULTIMODAL)/..) go test ./trainer -run - -bench Step/multimodal/$$set/bm3 -benchtime 200x -cpu $(THREADS) || exit 1; \
	done

bench-torch:
	go build -o bin/ ./cmd/kernelbench
	taskset -c 0-$$(($(THREADS) - 1)) bin/kernelbench -torch $(PYTHON) -threads $(THREADS) $(if $(DATA),-data $(DATA),-sizes 70k) -N 2048,0 $(if $(JSON),-json $(JSON)) $(BENCH)

lint:
	@files=$$(git ls-files '*.go' | xargs gofmt -l); [ -z "$$files" ] || { echo "gofmt would change: $$files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

gen:
	cd kernels/cpu && go generate ./...

ci:
	.ci/run

gpu:
	flags=$$(kernels/cuda/toolkit cflags) && go test ./kernels/cuda/images && CGO_ENABLED=1 CGO_CFLAGS=$$flags go build -tags gpu -trimpath -o bin/ ./cmd/...

test-gpu:
	kernels/cuda/test-emulated

test-on-gpu:
	kernels/cuda/build-tests bin/tests
	kernels/cuda/test-on-gpu bin/tests

images:
	go run ./kernels/cuda/images/compile

cuda-toolkit:
	kernels/cuda/toolkit fetch

clean:
	rm -rf bin
