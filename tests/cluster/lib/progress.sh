# Shows what is being done and how long it took; on a failure, what the right log says and what mends it.
STAGE=''        # of the run
LOG=''          # of what is being done now
MEND=''         # what to do when it fails
trap 'failed "$BASH_COMMAND"' ERR

# seconds SINCE: tenths of a second passed since SINCE, a value of EPOCHREALTIME
seconds() {
  local t=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 100000))
  printf '%d.%d s' $((t / 10)) $((t % 10))
}

say() { printf '    %s\n' "$*"; }

run_stages() {
  local start all=$EPOCHREALTIME n=0
  for STAGE in "${STAGES[@]}"; do
    start=$EPOCHREALTIME LOG='' MEND=''
    printf '%d/%d %s\n' $((++n)) ${#STAGES[@]} "$STAGE"
    "${STAGE//-/_}"
    printf '    %s\n' "$(seconds "$start")"
  done
  printf 'up in %s\n' "$(seconds "$all")"
}

# failed WHAT: ends the run
failed() {
  trap - ERR
  [ $BASH_SUBSHELL = 0 ] || exit 1                    # the shell around it reports, and not into a log
  {
    echo
    echo "failed: $STAGE: ${1:0:200}"
    if [ -s "$LOG" ]; then echo "the end of $LOG:"; tail -n 20 "$LOG" | cut -c1-400 | sed 's/^/  | /'; fi
    if [ "$MEND" ]; then echo "to mend it: $MEND"; fi
  } >&2
  exit 1
}

# describe_cluster: how to reach what is there now; its first line is for the shell, and for the tests
describe_cluster() {
  local settings="PATH=$PROGRAMS:\$PATH"
  [ "$ONLY" != checks ] || settings="PATH=$CHECKS:\$PATH"
  [[ "$ONLY" =~ ^(programs|checks)$ ]] || settings="KUBECONFIG=$KUBECONFIG $settings"
  echo "export $settings"
  [ "$ONLY" ] || cat <<TEXT
kubectl apply -f crds/examples/lobby.yaml     then: kubectl get croom
http://127.0.0.1:$INGRESS_PORT                       the ingress; the host of a ChatRoom's spec.route decides
tests/cluster/down                            ends it and leaves nothing behind
TEXT
}
