# Programs that only some tests need: a registry, readers of Prometheus rules and of workflows, a metrics server, and what KEDA
# says of itself. They have a module and a cache of their own, so that a change here does not build Kubernetes again.
checks() {
  if [ -e "$CHECKS/complete" ]; then say "built already: $CHECKS"; return; fi
  mkdir -p "$CACHE"
  exec 8>"$CACHE/checks.lock"
  flock 8
  [ -e "$CHECKS/complete" ] || build_checks
  exec 8>&-
}

build_checks() {
  say 'Go build of a registry, two checkers and a metrics server: five minutes the first time'
  LOG=$STATE/log/checks.log
  MEND="a version that the module proxy refuses has to be changed in tests/cluster/checks/go.mod"
  export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
  find "$CACHE" -maxdepth 1 -name "checks-*" -mtime +7 -exec rm -rf {} +
  mkdir -p "$CHECKS"
  (cd "$here/checks" && go build -trimpath -ldflags '-s -w' -o "$CHECKS/" tool ./checkrules ./registry) >"$LOG" 2>&1 8>&- 9>&-
  keda
  touch "$CHECKS/complete"
}

# KEDA itself links the clients of every cloud, three times what Kubernetes' metrics server does. Its definition of a
# ScaledObject and its table of triggers are in its module.
keda() {
  local from
  from=$(cd / && go mod download -json github.com/kedacore/keda/v2@v2.21.0 2>>"$LOG" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  cp "$from/config/crd/bases/keda.sh_scaledobjects.yaml" "$CHECKS/keda-scaledobjects.yaml"
  cp "$from/schema/generated/scalers-schema.json" "$CHECKS/keda-triggers.json"
  chmod u+w "$CHECKS"/keda-*
}
