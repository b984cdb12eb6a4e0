# Bulkhead. `make` builds, `make demo` shows it, `make test` checks everything.
#
#   make test-unit  test-console  test-system  asan  fuzz  analyze  format-check     the parts of `make test`
#   make bench  regress-postgres                                       longer, outside `make test`
#   make install DESTDIR= PREFIX=/usr                                  make deb
#
# BUILD (build/), ASAN_BUILD and FUZZ_BUILD say where; FUZZ_SECONDS how long each fuzz target runs.

PREFIX ?= /usr/local
BUILD ?= build
ASAN_BUILD ?= build-asan
FUZZ_BUILD ?= build-fuzz
FUZZ_SECONDS ?= 10
PYTEST_ARGS ?=
export BUILD ASAN_BUILD FUZZ_BUILD FUZZ_SECONDS PYTEST_ARGS

.PHONY: all build demo test test-unit test-console test-system asan fuzz analyze format format-check \
        bench regress-postgres dependencies test-dependencies install deb clean

all: build

build:
	@tools/build "$(BUILD)" plain

demo: dependencies
	@$(MAKE) --no-print-directory build
	@demo/run $(if $(KEEP),--keep)

test: test-dependencies
	@tools/run-tests all

test-unit:
	@tools/run-tests unit

test-console:
	@tools/run-tests console

test-system:
	@tools/run-tests system

asan:
	@tools/run-tests asan-unit asan-system

fuzz:
	@tools/run-tests fuzz

analyze:
	@tools/run-tests analyze

format-check:
	@tools/run-tests format

format:
	@tools/list-sources | xargs clang-format -i

bench:
	@tools/install-dependencies build bench
	@tools/build "$(BUILD)-release" release
	@ninja -C "$(BUILD)-release" bench/micro_detect bench/micro_sql
	@BULKHEAD="$(BUILD)-release/bulkhead" bench/run

regress-postgres: test-dependencies
	@tools/install-dependencies regress
	@$(MAKE) --no-print-directory build
	@tests/regress-postgres/run

dependencies:
	@tools/install-dependencies build

test-dependencies:
	@tools/install-dependencies build test

install:
	@tools/build "$(BUILD)-install" release "$(PREFIX)"
	meson install -C "$(BUILD)-install" --no-rebuild --destdir "$(abspath $(or $(DESTDIR),/))"

deb:
	dpkg-buildpackage -us -uc -b

clean:
	rm -rf build build-* console/node_modules tests/system/node_modules tests/console/node_modules
