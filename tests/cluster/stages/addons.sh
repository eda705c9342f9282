# What every cluster has besides Kubernetes itself: DNS, an ingress controller, volumes, NetworkPolicies.
addons() {
  MEND="kubectl --namespace kube-system describe pods; the pods' logs are in $STATE/log/pods"
  program_image coredns
  program_image traefik
  LOG=$STATE/log/addons.log
  mkdir -p "$STATE/volumes"
  kubectl apply --server-side --filename "$PROGRAMS/gateway-api.yaml" >"$LOG" 2>&1
  kubectl wait --for=condition=Established --timeout=20s --filename "$PROGRAMS/gateway-api.yaml" >>"$LOG" 2>&1
  kubectl apply --server-side --filename "$here/addons/dns.yaml" --filename "$here/addons/ingress.yaml" \
    --filename "$here/addons/storage.yaml" >>"$LOG" 2>&1
  start volumes volumes --kubeconfig="$KUBECONFIG" --directory="$STATE/volumes"
  start policies policies --kubeconfig="$KUBECONFIG"
  await 90 - 'CoreDNS and Traefik' kubectl --namespace kube-system wait --for=condition=Available deployment --all --timeout=2s
}
