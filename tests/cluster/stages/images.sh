# Parlor's own images from their Containerfiles, pushed to the registry; and the Redis that ChatRooms ask for by default.
images() {
  redis_image
  MEND='cargo build by hand shows more; Rust comes from https://rustup.rs'
  LOG=$STATE/log/cargo.log
  local target output flags=()
  target=$(rustc -vV | sed -n 's/^host: //p')
  output=${CARGO_TARGET_DIR:-$REPOSITORY/target}/$target/$PROFILE
  [ $PROFILE = debug ] || flags=(--release)
  say "cargo build, $PROFILE profile"
  (
    cd "$REPOSITORY" || exit
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --target "$target" "${flags[@]}" \
      --package parlor-gateway --package parlor-operator
  ) >"$LOG" 2>&1 9>&-
  TAG=$(cat "$output/parlor-gateway" "$output/parlor-operator" | sha256sum | cut -c1-12)
  parlor_image gateway "$output"
  parlor_image operator "$output"
}

# parlor_image PART OUTPUT: REGISTRY/parlor-PART:TAG
parlor_image() {
  local context
  context=$(mktemp -d "$STATE/context.XXXXXX")
  cp "$2/parlor-$1" "$context/"
  push "$REGISTRY/parlor-$1:$TAG" --file "$REPOSITORY/$1/Containerfile" --target prebuilt "$context"
  rm -rf "$context"
}

# Under the name that the default ChatRoom has for it, whatever version Debian has.
redis_image() {
  local program library root
  root=$(mktemp -d "$STATE/context.XXXXXX")
  program=$(readlink -f "$(command -v redis-server)")
  install -D "$program" "$root/usr/bin/redis-server"
  for library in $(ldd "$program" | grep -o '/[^ ]*'); do install -D "$(readlink -f "$library")" "$root$library"; done
  mkdir -m 1777 "$root/data"
  image docker.io/library/redis:7.4 "$here/addons/redis.Containerfile" "$root"
  rm -rf "$root"
}
