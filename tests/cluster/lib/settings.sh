# Names, addresses, versions and directories; read by up and down. Takes the command line's options.
KUBERNETES=v1.37.1                      # every other version is in programs/go.mod
LEGO=v5.3.1
NODE=node1
NODE_IP=10.244.0.1                      # the node is its own pods' bridge, whatever other networks the machine has
BRIDGE=parlor0
PODS=10.244.0.0/24
SERVICES=10.96.0.0/16
DNS_IP=10.96.0.10
INGRESS_PORT=8000                       # on 127.0.0.1

usage() {
  cat <<TEXT
usage: tests/cluster/${0##*/} [option...]
  --only control-plane   etcd, API server and controller manager, without a node
  --only programs        build kubectl, helm and all the others, start nothing
  --only checks          build a registry, two checkers and a metrics server, start nothing
  --state DIR            what belongs to this cluster (default: /var/lib/parlor-cluster or …-control-plane)
  --address 127.X.Y.Z    loopback address of etcd and of all that only this machine may reach
  --until-eof            stay until the standard input ends, then take the cluster down
  --debug                put Parlor's debug build into the images instead of the release build
PARLOR_CACHE names the directory of the programs (default: /var/cache/parlor).
TEXT
}

ONLY='' UNTIL_EOF=false PROFILE=release STATE='' LOOPBACK='' SAME=()
while [ $# -gt 0 ]; do
  case $1 in
    --only) [[ ${2:-} =~ ^(control-plane|programs|checks)$ ]] || { usage >&2; exit 64; }; ONLY=$2; SAME+=("$1" "$2"); shift 2 ;;
    --state) STATE=${2:?--state names a directory}; SAME+=("$1" "$2"); shift 2 ;;
    --address) LOOPBACK=${2:?--address is an IP}; SAME+=("$1" "$2"); shift 2 ;;
    --until-eof) UNTIL_EOF=true; shift ;;
    --debug) PROFILE=debug; shift ;;
    --help) usage; exit ;;
    *) usage >&2; exit 64 ;;
  esac
done

if [ "$ONLY" ]; then
  STATE=${STATE:-/var/lib/parlor-$ONLY}
  LOOPBACK=${LOOPBACK:-127.0.11.1}
  API=$LOOPBACK
  STAGES=(packages programs certificates control-plane)
  if [ "$ONLY" = programs ]; then STAGES=(packages programs); fi
  if [ "$ONLY" = checks ]; then STAGES=(packages checks); fi
else
  STATE=${STATE:-/var/lib/parlor-cluster}
  LOOPBACK=${LOOPBACK:-127.0.10.1}
  API=$NODE_IP
  STAGES=(packages programs checks certificates network control-plane registry node addons images parlor)
fi
REPOSITORY=$(cd "$here/../.." && pwd)
CACHE=${PARLOR_CACHE:-/var/cache/parlor}
REGISTRY=$LOOPBACK:5000
RUN=/run/parlor-cluster                 # sockets, whose paths must be short
PKI=$STATE/pki
# The programs are kept by what they are made of.
PROGRAMS=$CACHE/programs-$(cd "$here" && find programs stages/programs.sh -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
CHECKS=$CACHE/checks-$(cd "$here" && find checks stages/checks.sh -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
export KUBECONFIG=$STATE/admin.kubeconfig
export PATH=$PROGRAMS:$PATH:/usr/sbin:/sbin
CTR=(ctr --address "$RUN/containerd.sock" --namespace k8s.io)
