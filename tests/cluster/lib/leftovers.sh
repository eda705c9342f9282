# What a node leaves on the machine besides its own directories; each function may be run again.

remove_containers() {
  local task
  for task in $("${CTR[@]}" tasks list --quiet 2>/dev/null); do
    "${CTR[@]}" tasks delete --force "$task" >/dev/null 2>&1
  done
}

remove_mounts() {
  awk -v state="$STATE/" -v run="$RUN/" 'index($2, state) == 1 || index($2, run) == 1 {print $2}' /proc/mounts |
    tac | xargs --no-run-if-empty umount --lazy
}

remove_network() {
  local family table name
  # The pods' network namespaces and containers, by the records of the CNI plugins.
  for name in $(sed -n 's/^.*"sandbox":"\([^"]*\)".*$/\1/p' /var/lib/cni/results/parlor-* 2>/dev/null | sort -u); do
    umount --lazy "$name" 2>/dev/null
    rm -f "$name"
  done
  for name in /var/lib/cni/results/parlor-*; do
    rm -f "$name" "/var/lib/cni/results/cni-loopback-$(cut -d- -f2 <<<"${name##*/}")-lo"
  done
  if ip link show "$BRIDGE" >/dev/null 2>&1; then
    ip -oneline link show master "$BRIDGE" | sed 's/^[0-9]*: \([^@:]*\).*/\1/' | xargs --no-run-if-empty -n1 ip link delete
    ip link delete "$BRIDGE"
  fi
  nft delete table ip parlor-policies 2>/dev/null
  for family in ip ip6; do nft delete table $family kube-proxy 2>/dev/null; done
  for table in filter nat mangle; do
    # Read to its end: a pipe that closes early looks like a failure.
    iptables-save -t $table 2>/dev/null | grep 'CNI-\|KUBE-' >/dev/null || continue
    iptables-save -t $table | grep -v 'CNI-\|KUBE-' | iptables-restore --table=$table
  done
  # Empty as they are now, those that were not there before still make the kernel track every connection.
  if [ -e "$STATE/tables" ]; then
    nft list tables | grep -vxFf "$STATE/tables" | while read -r _ family name; do nft delete table "$family" "$name"; done
  fi
  if [ -s "$STATE/sysctl" ]; then sysctl --quiet --load="$STATE/sysctl"; fi
}

remove_cgroups() {
  find /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods -depth -type d -exec rmdir {} + 2>/dev/null
}

# remove_directories: the cluster's, and those at fixed places that were not there before it
remove_directories() {
  local made node=false
  if [ -e "$STATE/node" ]; then node=true; fi
  made=$(cat "$STATE/made" 2>/dev/null)
  rm -rf --one-file-system "$STATE" "$STATE.lock"
  $node || return 0
  rm -rf --one-file-system "$RUN"
  find /var/log/containers /var/log/pods -xtype l -delete 2>/dev/null
  xargs --no-run-if-empty rm -rf --one-file-system <<<"$made"
}
