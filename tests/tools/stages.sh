# Sourced by the scripts beside it: the stages that `make test` and its smaller sisters share, each a list of steps.

web="npm --prefix client-demo"

# With cargo-nextest where it is installed, otherwise with cargo's own runner, one test binary after the other.
run_tests() { # run_tests <heading> <limit-seconds> <nextest filter> <cargo test arguments…>
  local heading=$1 limit=$2 filter=$3
  shift 3
  if cargo nextest --version >/dev/null 2>&1; then
    step "$heading" "$limit" cargo nextest run --workspace --all-features -E "$filter"
    figure "$(closing_line '[0-9]+ tests? run: [0-9]+ passed' | sed 's/.*: //') in ${heading,}"
  else
    step "$heading" "$limit" cargo test --workspace --all-features --no-fail-fast "$@"
    figure "$(grep -oE '[0-9]+ passed' "$last_log" | awk '{ sum += $1 } END { print sum + 0 }') passed in ${heading,}"
  fi
}

lint_stages() {
  step "Rust format" 60 cargo fmt --all --check
  step "Clippy" 900 cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
  step "Core without I/O" 300 env RUSTFLAGS="" cargo check --lib --no-default-features --locked
  step "Licences, bans and sources" 60 cargo deny --log-level error check licenses bans sources
  step "TypeScript format" 60 $web run --silent format:check
  step "TypeScript lint" 120 $web run --silent lint
  step "TypeScript types" 120 $web run --silent typecheck
}
