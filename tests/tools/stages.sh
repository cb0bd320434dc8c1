# Sourced by the scripts beside it: the stages that `make test` and its smaller sisters share, each a list of steps.

web="npm --prefix client-demo"

# With cargo-nextest where it is installed, otherwise with cargo's own runner, one test binary after the other.
run_tests() { # run_tests <heading> <limit-seconds> <nextest filter> <cargo test arguments…>
  local heading=$1 limit=$2 filter=$3 passed
  shift 3
  if has_nextest; then
    step "$heading" "$limit" cargo nextest run --workspace --features "$(features)" --locked -E "$filter"
    passed=$(closing_line 'tests? run: [0-9]+ passed' | grep -oE '[0-9]+')
  else
    step "$heading" "$limit" cargo test --workspace --features "$(features)" --locked --no-fail-fast "$@"
    passed=$(grep -oE '[0-9]+ passed' "$last_log" | awk '{ sum += $1 } END { print sum + 0 }')
  fi
  ((passed > 0)) || give_up "“$heading” ran no test"
  figure "$passed ${heading,}"
}

has_nextest() { cargo nextest --version >/dev/null 2>&1; }

# Test binaries that have no stage of their own, as arguments for cargo test.
other_binaries() {
  local main name
  for main in tests/*/main.rs crates/*/tests/*/main.rs; do
    name=$(basename "$(dirname "$main")")
    case $name in tidy | sim | e2e) ;; *) printf -- '--test %s ' "$name" ;; esac
  done
}

rust_test_stages() {
  # Apart, so that the time of the compiler is not taken for the time of the tests.
  if has_nextest; then
    step "Rust tests, compiled" 1500 cargo nextest run --workspace --features "$(features)" --locked --no-run
  else
    step "Rust tests, compiled" 1500 cargo test --workspace --features "$(features)" --locked --no-run
  fi
  run_tests "Tidy rules" 600 'binary(tidy)' --test tidy
  # shellcheck disable=SC2046
  run_tests "Unit and integration tests" 600 'not binary(/^(tidy|sim|e2e)$/)' --lib --bins $(other_binaries)
  step "Documentation tests" 300 cargo test --quiet --workspace --features "$(features)" --locked --doc
}

simulation_stages() {
  run_tests "Simulated worlds and mutants" 900 'binary(sim)' --test sim
  figure "$(closing_line '[0-9]+ seeds from [0-9]+ .alone.*')"
  figure "$(closing_line '[0-9]+ seeds from [0-9]+ .pair.*')"
}

end_to_end_stages() {
  run_tests "End-to-end tests" 900 'binary(e2e)' --test e2e -- --test-threads=1
  # Against target/debug/duet, which the tests before have built.
  step "Interoperability" 400 tests/interop/run
  figure "$(closing_line '[0-9]+ passed' | grep -oE '[0-9]+') interoperability laws"
  step "The page in a browser" 600 $web run --silent e2e
  figure "$(closing_line '(ℹ|#) pass [0-9]+' | grep -oE '[0-9]+') tests of the page"
}

# What the conformance suite runs besides the server: the wire, and the Rust SDK's agent.
conformance_programs() {
  step "Programs for the conformance suite" 1500 cargo build --quiet --locked --workspace --features "$(features)" \
    --bin duet --bin duet-wire --example agent
}

conformance_stages() {
  conformance_programs
  step "Conformance of the SDKs" 600 node client-demo/conformance/run.js
  figure "$(closing_line '[0-9]+ of [0-9]+ laws on [0-9]+ lanes')"
  step "Soak of half a minute" 400 node client-demo/conformance/soak.js --seconds 25 --clients 40 --pace 2000
  figure "$(closing_line '[0-9]+ messages, each stored once and in every log')"
}

web_test_stages() {
  step "Demo page" 300 $web run --silent build
  step "TypeScript tests" 300 $web run --silent test
  figure "$(sed 's/\x1b\[[0-9;]*m//g' "$last_log" | grep -E '^ +Tests ' | grep -oE '[0-9]+ passed' | grep -oE '[0-9]+') TypeScript tests"
}

lint_stages() {
  step "Rust format" 60 cargo fmt --all --check
  step "Clippy" 900 cargo clippy --workspace --all-targets --features "$(features)" --locked -- -D warnings
  step "Core without I/O" 300 env RUSTFLAGS="" cargo check --lib --no-default-features --locked
  step "Licences, bans and sources" 60 cargo deny --log-level error check licenses bans sources
  step "TypeScript format" 60 $web run --silent format:check
  step "TypeScript lint" 120 $web run --silent lint
  step "TypeScript types" 120 $web run --silent typecheck
}

# A whole number within bounds, or a sentence that says what is wrong with it.
whole_number() { # whole_number <name> <value> <least> <most>
  if [[ $2 =~ ^[0-9]{1,9}$ ]] && ((10#$2 >= $3 && 10#$2 <= $4)); then printf '%d' "$((10#$2))"; return; fi
  printf 'FAIL: %s=%s is not a whole number from %d to %d\n' "$1" "$2" "$3" "$4" >&2
  return 1
}

coverage_flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage_flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage_flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares"

fuzz_stages() { # fuzz_stages <seconds in all>
  local host targets name share executions=0
  host=$(rustc -vV | sed -n 's/^host: //p')
  mapfile -t targets < <(cd fuzz/targets && printf '%s\n' *.rs | sed 's/\.rs$//')
  share=$(($1 / ${#targets[@]}))
  ((share > 0)) || share=1
  # With a target named, the flags reach the product's crates but neither build scripts nor macros.
  step "Fuzz targets" 600 env RUSTFLAGS="$coverage_flags" \
    cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --target "$host"
  step "Seeds from the golden vectors" 30 python3 fuzz/seeds.py fuzz/seeds
  for name in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$name" "fuzz/artifacts/$name" "fuzz/seeds/$name"
    step "Fuzzing $name" $((share + 60)) "fuzz/target/$host/release/$name" -max_total_time="$share" -max_len=8192 \
      -timeout=10 -rss_limit_mb=2048 -dict=fuzz/dictionary -verbosity=0 -print_funcs=0 -print_final_stats=1 \
      -artifact_prefix="fuzz/artifacts/$name/" "fuzz/corpus/$name" "fuzz/seeds/$name"
    executions=$((executions + $(closing_line 'number_of_executed_units: +[0-9]+' | grep -oE '[0-9]+')))
  done
  figure "$executions inputs to ${#targets[@]} fuzz targets"
}
