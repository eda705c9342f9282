# The bridge that is both the node and its pods' network.
network() {
  local other
  if [ ! -e "$STATE/node" ]; then
    MEND='use a machine without a Kubernetes of its own, or end that one first'
    if nft list table ip kube-proxy >/dev/null 2>&1 || [ "$(find /sys/fs/cgroup -maxdepth 2 -name kubepods)" ]; then
      failed 'this machine runs a Kubernetes already'
    fi
    MEND="change PODS and SERVICES in tests/cluster/lib/settings.sh, and the addresses in tests/cluster/addons"
    other=$(ip route show root "$PODS"; ip route show root "$SERVICES")
    [ ! "$other" ] || failed "this machine routes the cluster's addresses elsewhere: $other"
    MEND="end what uses the port, or change INGRESS_PORT in tests/cluster/lib/settings.sh and the addons"
    ! ss --listening --tcp --numeric --no-header "sport = :$INGRESS_PORT" | grep -q . || failed "port $INGRESS_PORT is taken"
  fi
  touch "$STATE/node"
  # Directories that the programs below make at fixed places: down removes those that were not there before.
  [ -e "$STATE/made" ] || for other in /etc/cni /run/{containerd,containers,netns} \
    /var/lib/{cni,containers,kubelet} /var/log/{containers,pods}; do
    [ -e "$other" ] || echo "$other"
  done >"$STATE/made"
  LOG=$STATE/log/network.log MEND='run as root, on a kernel with bridges and br_netfilter'
  {
    modprobe -q br_netfilter overlay || true            # absent where the kernel has them built in
    [ -e "$STATE/tables" ] || nft list tables >"$STATE/tables"
    [ -e "$STATE/sysctl" ] || sysctl net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables >"$STATE/sysctl"
    sysctl -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
    ip link show "$BRIDGE" || ip link add "$BRIDGE" type bridge
    ip address replace "$NODE_IP/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
  } >"$LOG" 2>&1
  mkdir -p "$STATE/cni"
  cat >"$STATE/cni/10-parlor.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "parlor", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni/addresses",
            "ranges": [[{"subnet": "$PODS", "gateway": "$NODE_IP"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}},
  {"type": "firewall"}]}
JSON
  say "$BRIDGE at $NODE_IP"
}
