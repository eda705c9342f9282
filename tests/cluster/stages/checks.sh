# Programs that only some tests need: a registry, and readers of Prometheus rules and of workflows. They have a module and a
# cache of their own, so that a change here does not build Kubernetes again.
checks() {
  if [ -e "$CHECKS/complete" ]; then say "built already: $CHECKS"; return; fi
  mkdir -p "$CACHE"
  exec 8>"$CACHE/checks.lock"
  flock 8
  [ -e "$CHECKS/complete" ] || build_checks
  exec 8>&-
}

build_checks() {
  say 'Go build of a registry and of two checkers: two minutes the first time'
  LOG=$STATE/log/checks.log
  MEND="a version that the module proxy refuses has to be changed in tests/cluster/checks/go.mod"
  export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
  find "$CACHE" -maxdepth 1 -name "checks-*" -mtime +7 -exec rm -rf {} +
  mkdir -p "$CHECKS"
  (cd "$here/checks" && go build -trimpath -ldflags '-s -w' -o "$CHECKS/" tool ./checkrules ./registry) >"$LOG" 2>&1 8>&- 9>&-
  touch "$CHECKS/complete"
}
