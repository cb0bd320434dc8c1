# Sourced by the scripts beside it: headings, time limits, and the closing PASS or FAIL line.
#
#   begin <target> <budget-seconds>          once, at the top
#   step <heading> <limit-seconds> cmd…      runs cmd without stdin; the first failure ends the script
#   figure <text>                            adds to what the closing line reports
#
# A step may use no more than its limit nor than what is left of the budget. Its output is shown as it comes and kept
# under target/steps/<target>/, where `last_log` names the file of the newest step.

set -uo pipefail
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
cd "$repository" || exit 1
export PATH="$repository/target/tools/bin:$HOME/.cargo/bin:$PATH"
export CARGO_TERM_COLOR=never NO_COLOR=1 npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

target_name=; budget=0; steps_done=0; figures=; child=; last_log=; failed_because=

# Cargo features for tests and checks. etcd's client is generated while it is built: without protoc and the definitions that
# come with it (Debian: protobuf-compiler, libprotobuf-dev) everything else is built and tested.
features() {
  if protoc_is_here; then printf 'mutants,etcd'; else printf 'mutants'; fi
}

protoc_is_here() {
  local place
  if [[ -z ${PROTOC:-} ]] && ! command -v protoc >/dev/null; then return 1; fi
  if [[ -n ${PROTOC_INCLUDE:-} ]]; then return 0; fi
  for place in /usr/include /usr/local/include /opt/homebrew/include "$(dirname "$(command -v "${PROTOC:-protoc}")")/../include"; do
    if [[ -e $place/google/protobuf/struct.proto ]]; then return 0; fi
  done
  return 1
}

begin() {
  target_name=$1; budget=$2; SECONDS=0
  mkdir -p "target/steps/$target_name"
  trap finish EXIT
  trap 'interrupt' INT TERM HUP
}

figure() { figures+="${figures:+, }$1"; }

elapsed() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

step() {
  local heading=$1 limit=$2 started=$SECONDS left status tee_pid out
  shift 2
  left=$((budget - SECONDS))
  if ((left <= 0)); then
    give_up "the budget of $(elapsed "$budget") was used up before “$heading”"
  fi
  if ((limit > left)); then limit=$left; fi
  printf '\n── %s ── %s\n' "$heading" "$(elapsed "$SECONDS")"
  last_log="target/steps/$target_name/$(printf '%02d' "$steps_done").log"
  exec {out}> >(exec tee "$last_log")
  tee_pid=$!
  timeout --kill-after=10 "$limit" "$@" </dev/null >&"$out" 2>&1 {out}>&- &
  child=$!
  wait "$child"; status=$?
  child=
  exec {out}>&-
  # A process left behind by the command could hold the log open: do not wait for it for long.
  timeout 10 tail --pid="$tee_pid" -f /dev/null || true
  case $status in
    0) printf '   %s: done in %s\n' "$heading" "$(elapsed $((SECONDS - started)))"; steps_done=$((steps_done + 1)) ;;
    124 | 137) give_up "“$heading” did not end within $limit s (output: $last_log)" ;;
    *) give_up "“$heading” ended with status $status (output: $last_log)" ;;
  esac
}

# What a step found out, for the closing line: the newest match of an extended regular expression in its output.
closing_line() { grep -oE "$1" "$last_log" | tail -n 1; }

give_up() { failed_because=$1; exit 1; }

interrupt() {
  # timeout passes the signal on to the whole group of the running command.
  if [[ -n $child ]]; then kill -TERM "$child" 2>/dev/null; fi
  give_up "interrupted"
}

finish() {
  local status=$?
  trap - EXIT
  printf '\n'
  if ((status == 0)); then
    printf 'PASS %s: %s%d steps in %s\n' "$target_name" "${figures:+$figures, }" "$steps_done" "$(elapsed "$SECONDS")"
  else
    printf 'FAIL %s: %s (after %d good steps, %s)\n' "$target_name" "${failed_because:-ended with status $status}" \
      "$steps_done" "$(elapsed "$SECONDS")"
  fi
  exit "$status"
}
