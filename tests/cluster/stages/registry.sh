# A registry that only this machine reaches: Parlor's images are pushed to it and pulled from it, as with any other.
registry() {
  MEND="tests/cluster/down and up again; end what else uses port 5000 of $LOOPBACK"
  mkdir -p "$STATE/registry"
  keep "$STATE/registry.yaml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $STATE/registry}}
http: {addr: "$REGISTRY", secret: of no use on loopback}
YAML
  start registry "$CHECKS/registry" serve "$STATE/registry.yaml"
  await 20 registry "registry at $REGISTRY" curl --silent --fail "http://$REGISTRY/v2/"
}
