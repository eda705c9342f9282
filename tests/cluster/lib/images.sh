# Images: built by buildah from scratch. Parlor's are pushed to the registry; the others are kept as archives by content and
# imported into containerd.

# image NAME CONTAINERFILE CONTEXT [BUILDAH-OPTION...]
image() {
  local name=$1 containerfile=$2 context=$3 content stamp archive; shift 3
  content=$(cd "$context" && { cat "$containerfile"; echo "$name $*"; find . -type f -print0 | sort -z | xargs -0 sha256sum; } |
    sha256sum | cut -c1-16)
  stamp=$STATE/images/$content
  archive=$CACHE/images/$content.tar
  [ ! -e "$stamp" ] || return 0
  LOG=$STATE/log/images.log
  mkdir -p "$STATE/images" "$CACHE/images"
  [ -e "$archive" ] || build_image "$name" "$archive" --file "$containerfile" "$@" "$context"
  touch "$archive"
  "${CTR[@]}" images import "$archive" >>"$LOG" 2>&1
  find "$CACHE/images" -name '*.tar' -mtime +7 -delete
  touch "$stamp"
  say "image $name"
}

# push NAME BUILDAH-ARGUMENT...: builds an image and pushes it, unless the registry has it
push() {
  local name=$1 path tag; shift
  path=${name#*/} tag=${name##*:}
  ! curl --silent --fail --head --output /dev/null --header 'Accept: application/vnd.oci.image.manifest.v1+json' \
    "http://$REGISTRY/v2/${path%:*}/manifests/$tag" || return 0
  LOG=$STATE/log/images.log
  {
    buildah_here bud --isolation chroot --layers=false --tag "$name" "$@"
    buildah_here push --tls-verify=false "$name" "docker://$name"
    buildah_here rmi --all --force
  } >>"$LOG" 2>&1
  say "pushed $name"
}

# build_image NAME ARCHIVE BUILDAH-ARGUMENT...
build_image() {
  local name=$1 archive=$2; shift 2
  {
    buildah_here bud --isolation chroot --layers=false --tag "$name" "$@"
    buildah_here push "$name" "docker-archive:$archive.part:$name"
    buildah_here rmi --all --force
  } >>"$LOG" 2>&1
  mv "$archive.part" "$archive"
}

buildah_here() { buildah --root "$STATE/buildah" --runroot "$RUN/buildah" --storage-driver vfs "$@"; }

# program_image PROGRAM: localhost/PROGRAM:parlor
program_image() {
  local context
  context=$(mktemp -d "$STATE/context.XXXXXX")
  cp "$PROGRAMS/$1" "$context/"
  image "localhost/$1:parlor" "$here/addons/Containerfile" "$context" --build-arg "PROGRAM=$1"
  rm -rf "$context"
}
