# A certificate authority, a certificate for each part, and kubeconfigs that use them.
certificates() {
  if [ -e "$PKI/complete" ]; then say 'made already'; return; fi
  mkdir -p "$PKI"
  LOG=$STATE/log/certificates.log
  {
    key "$PKI/ca.key"
    key "$PKI/sa.key"
    openssl req -x509 -new -key "$PKI/ca.key" -subj /CN=parlor-cluster -days 365 -out "$PKI/ca.crt" \
      -addext keyUsage=critical,keyCertSign,digitalSignature
    openssl ec -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub"
    certificate apiserver /O=system:masters/CN=kube-apiserver "IP:$API,IP:127.0.0.1,IP:${SERVICES%.0/*}.1,DNS:localhost,\
DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    certificate front-proxy /CN=front-proxy
    kubeconfig admin /O=system:masters/CN=admin
    kubeconfig controller-manager /CN=system:kube-controller-manager
    if [ ! "$ONLY" ]; then
      certificate kubelet-server "/CN=$NODE" "IP:$NODE_IP,DNS:$NODE"
      kubeconfig kubelet "/O=system:nodes/CN=system:node:$NODE"
      kubeconfig proxy /CN=system:kube-proxy
      kubeconfig scheduler /CN=system:kube-scheduler
    fi
  } >"$LOG" 2>&1
  touch "$PKI/complete"
  say "$(find "$PKI" -name '*.crt' | wc -l) certificates"
}

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# certificate NAME SUBJECT [NAMES]: for client and server, signed by the cluster's authority
certificate() {
  local file=$PKI/$1
  key "$file.key"
  openssl req -new -key "$file.key" -subj "$2" |
    openssl x509 -req -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 365 -out "$file.crt" \
      -extfile <(printf 'extendedKeyUsage=clientAuth,serverAuth\n%s' "${3:+subjectAltName=$3}")
}

# kubeconfig NAME SUBJECT: with the credentials in it, so that the file can be copied elsewhere
kubeconfig() {
  certificate "$1" "$2"
  cat >"$STATE/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: parlor
contexts:
- name: parlor
  context: {cluster: parlor, user: $1}
clusters:
- name: parlor
  cluster: {server: "https://$API:6443", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w0 "$PKI/$1.crt"), client-key-data: $(base64 -w0 "$PKI/$1.key")}
YAML
  chmod 600 "$STATE/$1.kubeconfig"
}
