# Kubernetes, etcd, Helm, CoreDNS and Traefik from pinned Go modules; built once and kept in the cache.
programs() {
  if [ -e "$PROGRAMS/complete" ]; then say "built already: $PROGRAMS"; return; fi
  mkdir -p "$CACHE"
  exec 8>"$CACHE/lock"
  flock 8                               # another cluster may be building them
  [ -e "$PROGRAMS/complete" ] || build_programs
  exec 8>&-
}

build_programs() {
  say 'Go build of Kubernetes and what goes with it: ten minutes on two cores the first time'
  LOG=$STATE/log/programs.log
  MEND="a version that the module proxy refuses has to be changed in tests/cluster/programs/go.mod"
  local source=$CACHE/source resource
  local version=k8s.io/component-base/version helm=helm.sh/helm/v3/pkg/chartutil
  export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
  rm -rf "$source"
  find "$CACHE" -maxdepth 1 -name "programs-*" -mtime +7 -exec rm -rf {} +   # of versions no longer in use
  cp -r "$here/programs" "$source"
  mkdir "$PROGRAMS"
  lego_without_providers "$source/traefik"
  # Without a version kubelet and kubectl call themselves v0.0.0 and complain about each other, and Helm takes 1.20 for
  # the version that charts are rendered for.
  (cd "$source" && go build -trimpath -o "$PROGRAMS/" \
    -ldflags "-s -w -X $version.gitVersion=$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=${KUBERNETES:3:2} \
      -X $helm.k8sVersionMajor=1 -X $helm.k8sVersionMinor=${KUBERNETES:3:2}" \
    tool ./cmd/...) >"$LOG" 2>&1 8>&- 9>&-
  mv "$PROGRAMS/server" "$PROGRAMS/etcd"
  gcc -Os -static -s -o "$PROGRAMS/pause" "$source/pause/pause.c"
  local gateway_api
  gateway_api=$(cd "$source" && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard
  for resource in gatewayclasses gateways httproutes grpcroutes tlsroutes listenersets referencegrants backendtlspolicies; do
    echo ---
    cat "$gateway_api/gateway.networking.k8s.io_$resource.yaml"
  done >"$PROGRAMS/gateway-api.yaml"
  rm -rf "$source"
  touch "$PROGRAMS/complete"
}

# Traefik links some 190 DNS providers through lego, not all of which can be had: a copy of lego without them.
lego_without_providers() {
  local traefik=$1 from
  from=$(cd / && go mod download -json "github.com/go-acme/lego/v5@$LEGO" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  cp -r "$from" "$traefik/lego"
  chmod -R u+w "$traefik/lego"
  rm -rf "$traefik/lego/providers" "$traefik/lego/cmd"
  mkdir -p "$traefik/lego/providers/dns"
  cp "$traefik/nodns.go.txt" "$traefik/lego/providers/dns/nodns.go"
}
