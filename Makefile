# Every way to build, check and run Duet. Each target is bounded in time, asks nothing, and ends with one line
# `PASS <target> …` or `FAIL <target> …` that holds its figures and agrees with the exit status.
# The work is done by the scripts in tests/tools, so that they can be read and run by themselves.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS := tests/tools

.PHONY: help demo demo-pair test prerequisites fmt lint tidy sim crash failover conformance soak fuzz bench bench-peers audit resync stalls

help: ## show this list
	@printf 'make <target>, each with a last line PASS or FAIL:\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a visitor and an agent chat in your browser: builds everything, serves until Ctrl-C (or SECONDS=n)
	@$(TOOLS)/demo $(SECONDS)

demo-pair: ## the same on a replicated pair, with a button that kills the primary while you chat (or SECONDS=n)
	@$(TOOLS)/demo-pair $(SECONDS)

test: ## everything that CI runs: checks, tests, browsers (25 min warm, 45 min cold on two cores)
	@$(TOOLS)/test

prerequisites: ## install what `make test` needs and does not find, or say what is missing
	@$(TOOLS)/prerequisites && echo 'PASS prerequisites' || { echo 'FAIL prerequisites'; exit 1; }

fmt: ## rewrite every Rust and TypeScript file in the house format
	@$(TOOLS)/fmt

lint: ## formatting, clippy, eslint, types and licences, without running a test
	@$(TOOLS)/lint

tidy: ## the repository's own rules: layers, heads, sizes, links
	@$(TOOLS)/tidy

sim: ## seeded worlds of the simulator, SEEDS=1000 from FROM=1; a failure prints its seed
	@$(TOOLS)/sim "$(SEEDS)" "$(FROM)"

crash: ## kill -9 of a server under load, CYCLES=200 times on the same data
	@$(TOOLS)/crash $(CYCLES)

failover: ## failover after failover of a pair, N=1000 times with CLIENTS=200 who write, for SECONDS=7200 at most
	@$(TOOLS)/failover "$(N)" "$(CLIENTS)" "$(SECONDS)"

conformance: ## every SDK on every carrier against docs/sdk-spec.md, through bad networks; ONLY="part of a law's name"
	@$(TOOLS)/conformance "$(ONLY)"

soak: ## 200 clients of all carriers in bad weather and a server that is killed every 20 s, MINUTES=10 with CLIENTS=200
	@$(TOOLS)/soak "$(MINUTES)" "$(CLIENTS)"

resync: ## a standby comes back that missed N=100000 messages or lost its disk, while CLIENTS=80 write: what it costs them
	@$(TOOLS)/resync "$(N)" "$(CLIENTS)"

stalls: ## nodes and witness stand still for up to half a second, for SECONDS=300: nobody may be promoted
	@$(TOOLS)/stalls "$(SECONDS)"

fuzz: ## any bytes at all, SECONDS=60 shared by the targets of fuzz/
	@$(TOOLS)/fuzz $(or $(SECONDS),60)

bench: ## what the parts cost on this machine and disk (set TMPDIR to choose the disk)
	@$(TOOLS)/bench

bench-peers: ## Duet beside mosquitto, nats-server, ws, Socket.IO and the smallest quinn fan-out, ROUNDS=5 of SECONDS=5 each
	@$(TOOLS)/bench-peers "$(ROUNDS)" "$(SECONDS)" "$(SERVERS)" "$(CASES)"

audit: ## known vulnerabilities of dependencies (needs a network)
	@$(TOOLS)/audit
