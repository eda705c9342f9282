# The cluster's own processes: each has a log, and a pid file that counts only while that pid runs that program.

# running NAME PROGRAM
running() {
  local pid exe
  pid=$(cat "$STATE/pid/$1" 2>/dev/null) && exe=$(readlink "/proc/$pid/exe") && [ "${exe##*/}" = "${2##*/}" ] &&
    grep -qs '^State:.[^Z]' "/proc/$pid/status"
}

# start NAME COMMAND...: in the background, unless it runs already
start() {
  local name=$1; shift
  LOG=$STATE/log/$name.log
  running "$name" "$1" && return
  setsid nohup "$@" >"$LOG" 2>&1 </dev/null 9>&- &
  echo $! >"$STATE/pid/$name"
  disown
}

# keep FILE: its content from the standard input; written only when it changes, as kube-proxy ends when its file is written
keep() {
  local content
  content=$(cat)
  [ "$content" = "$(cat "$1" 2>/dev/null)" ] || printf '%s\n' "$content" >"$1"
}

# await SECONDS NAME WHAT COMMAND...: until the command succeeds, as long as the process NAME lives ('-': no process)
await() {
  local end=$((SECONDS + $1)) name=$2 what=$3; shift 3
  [ "$name" = - ] || LOG=$STATE/log/$name.log
  until "$@" >/dev/null 2>&1; do
    [ "$name" = - ] || [ -e "/proc/$(cat "$STATE/pid/$name")/exe" ] || failed "$name ended"
    [ $SECONDS -lt $end ] || failed "$what is not there in time: $*"
    sleep 0.1
  done
  say "$what"
}

# stop NAME...: at once, as nothing that they hold outlives the cluster
stop() {
  local name
  for name; do
    running "$name" "$name" && kill -KILL "$(cat "$STATE/pid/$name")"
  done
  for name; do
    while running "$name" "$name"; do sleep 0.05; done
    rm -f "$STATE/pid/$name"
  done
}
