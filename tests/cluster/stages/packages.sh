# Debian packages, for those that are missing.
packages() {
  local wanted=(curl gcc libc6-dev openssl util-linux) missing=() package
  [ "$ONLY" ] || wanted+=(buildah containerd containernetworking-plugins iproute2 iptables kmod nftables redis-server runc)
  for package in "${wanted[@]}"; do
    dpkg-query -Wf '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if ! go version >/dev/null 2>&1; then
    MEND='install Go 1.26 or newer from https://go.dev/dl and put it in PATH'; failed 'no Go'
  fi
  [ ${#missing[@]} -gt 0 ] || { say 'all installed'; return 0; }
  LOG=$STATE/log/packages.log MEND="install them by hand: ${missing[*]}"
  say "apt: ${missing[*]}"
  # Nothing may start by itself: the cluster runs its own containerd, and Redis only in pods.
  local policy=/usr/sbin/policy-rc.d held=false
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; held=true; }
  # On a machine that has just started another apt is often at work.
  local apt=(apt-get -o DPkg::Lock::Timeout=300)
  { "${apt[@]}" update && DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$LOG" 2>&1 ||
    { ! $held || rm -f $policy; failed 'apt-get install'; }
  ! $held || rm -f $policy
}
