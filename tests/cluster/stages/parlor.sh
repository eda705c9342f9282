# Parlor itself, as anyone would install it.
parlor() {
  LOG=$STATE/log/parlor.log
  MEND="kubectl --namespace parlor describe pods; kubectl --namespace parlor logs deployment/parlor-operator"
  helm upgrade --install parlor "$REPOSITORY/charts/parlor" --namespace parlor --create-namespace --wait --timeout 90s \
    --set "image.registry=$REGISTRY" --set "image.tag=$TAG" --set "gateway.image.tag=$TAG" >"$LOG" 2>&1
  say 'chart parlor in the namespace parlor'
}
