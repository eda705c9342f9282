# etcd, the API server, the controller manager and, when there is a node, the scheduler.
control_plane() {
  MEND="tests/cluster/down and up again; end what else uses its port, or give another --address"
  start etcd etcd --name=parlor --data-dir="$STATE/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls="http://$LOOPBACK:2379" --advertise-client-urls="http://$LOOPBACK:2379" \
    --listen-peer-urls="http://$LOOPBACK:2380" --initial-advertise-peer-urls="http://$LOOPBACK:2380" \
    --initial-cluster="parlor=http://$LOOPBACK:2380"
  await 20 etcd etcd curl --silent --fail "http://$LOOPBACK:2379/health"
  local apiserver=(
    --etcd-servers="http://$LOOPBACK:2379" --bind-address="$API" --advertise-address="$API"
    --service-cluster-ip-range="$SERVICES" --allow-privileged --authorization-mode="Node,RBAC"
    --enable-admission-plugins=NodeRestriction --client-ca-file="$PKI/ca.crt"
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key"
    --service-account-issuer=https://kubernetes.default.svc
    --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key"
    # A server behind an APIService, such as a metrics server, learns by this certificate who asks.
    --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key"
    --requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group
    --requestheader-extra-headers-prefix=X-Remote-Extra-
  )
  if [ "$ONLY" ]; then
    # An address on loopback is no endpoint that the Service "kubernetes" may have.
    apiserver+=(--endpoint-reconciler-type=none)
  else
    apiserver+=(--kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$PKI/ca.crt"
      --kubelet-client-certificate="$PKI/apiserver.crt" --kubelet-client-key="$PKI/apiserver.key")
  fi
  start kube-apiserver kube-apiserver "${apiserver[@]}"
  await 60 kube-apiserver "API server at https://$API:6443" kubectl get --raw /readyz
  # The default of 20 requests per second makes a few hundred pods take a minute, that of 15 s a test of an autoscaler.
  start kube-controller-manager kube-controller-manager --kubeconfig="$STATE/controller-manager.kubeconfig" \
    --leader-elect=false --bind-address="$LOOPBACK" --kube-api-qps=300 --kube-api-burst=600 \
    --horizontal-pod-autoscaler-sync-period=5s --use-service-account-credentials --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"
  await 60 kube-controller-manager 'controller manager' kubectl get --namespace default serviceaccount default
  [ "$ONLY" ] || start kube-scheduler kube-scheduler --kubeconfig="$STATE/scheduler.kubeconfig" \
    --leader-elect=false --bind-address="$LOOPBACK" --kube-api-qps=300 --kube-api-burst=600
}
