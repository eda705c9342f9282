# containerd, kubelet and kube-proxy.
node() {
  MEND="look at the log named above; tests/cluster/down and up again"
  container_runtime
  kubelet_settings | keep "$STATE/kubelet.yaml"
  start kubelet kubelet --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" --root-dir="$STATE/kubelet" \
    --hostname-override=$NODE --node-ip=$NODE_IP
  proxy_settings | keep "$STATE/proxy.yaml"
  start kube-proxy kube-proxy --config="$STATE/proxy.yaml"
  await 60 kubelet "node $NODE" kubectl wait --for=condition=Ready node/$NODE --timeout=2s
}

container_runtime() {
  mkdir -p "$RUN"
  # restrict_oom_score_adj: in a container the kernel may not let pause have the score that containerd wants for it.
  cat >"$STATE/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:parlor"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$STATE/registries"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
TOML
  # Without certificates, which a registry on loopback needs none of.
  mkdir -p "$STATE/registries/$REGISTRY"
  echo "server = \"http://$REGISTRY\"" >"$STATE/registries/$REGISTRY/hosts.toml"
  start containerd containerd --config "$STATE/containerd.toml"
  await 20 containerd containerd "${CTR[@]}" version
  program_image pause
}

# Disks of test machines are often nearly full, and an image that the kubelet removes could not be pulled again:
# hence the thresholds.
kubelet_settings() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
healthzBindAddress: $LOOPBACK
containerRuntimeEndpoint: unix://$RUN/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
podLogsDir: $STATE/log/pods
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
YAML
}

# minSyncPeriod: with the default of 1 s a Service refuses connections that long after its pod is ready.
proxy_settings() {
  cat <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $PODS
hostnameOverride: $NODE
healthzBindAddress: $LOOPBACK:10256
metricsBindAddress: $LOOPBACK:10249
oomScoreAdj: 0
conntrack: {maxPerCore: 0}
nftables: {minSyncPeriod: 100ms}
clientConnection: {kubeconfig: $STATE/proxy.kubeconfig}
YAML
}
