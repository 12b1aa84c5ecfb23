#!/usr/bin/env bash
# Builds Berth's image (Dockerfile) with buildah and prints the path of the OCI archive, as `ctr images import` reads it. An
# archive of the same sources is not built again. Where the base images can't be pulled, they are made here under the same
# names: Debian by mmdebstrap, Node from the npm package. Nothing is left outside the cache.
#
#   BERTH_CACHE    the cache (default: ~/.cache/berth)
#   BERTH_IMAGE    the image's name in the archive (default: example.com/berth:<version>)
#   BERTH_OFFLINE  do not try to pull the base images
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")
cache=${BERTH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/berth}/image
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/package.json")
name=${BERTH_IMAGE:-example.com/berth:$version}
# To be raised when the bases are made in another way, so that cached ones are made anew.
bases_recipe=3
base_name() { sed -n "s/^ARG $1=//p" "$root/Dockerfile"; }
bases=$(printf '%s\n' "$bases_recipe" "$(base_name BASE_IMAGE)" "$(base_name NODE_IMAGE)" | sha256sum | cut -c1-8)

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'image.sh: %s\n' "$*" >&2; exit 1; }

# All of buildah's state is in the cache; vfs works on every filesystem, chroot without a container runtime.
store=(--root "$cache/bases-$bases" --runroot "$cache/run" --storage-driver vfs)
buildah() { command buildah "${store[@]}" "$@"; }

# By what the image is made of, its name among it.
fingerprint() {
  cd "$root"
  {
    printf '%s\n' "$name" "$bases"
    find Dockerfile .dockerignore LICENSE NOTICE image package.json package-lock.json src hack/build.ts tsconfig.json \
      -type f ! -name '*.test.ts' ! -name '*.test-support.ts' ! -path '*/testdata/*' -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -c1-16
}

has_image() { buildah inspect --type image "$1" >/dev/null 2>&1; }

# What Debian's own slim image leaves out. Its list of sources is empty: a build has it from the machine (lent).
make_debian() {
  local image=$1 work=$2 container
  say "making $image with mmdebstrap"
  # With usr-is-merged as there: usrmerge, which apt would take, brings all of Perl.
  mmdebstrap --quiet --variant=minbase --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf "$1"/etc/hostname' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*' \
    bookworm "$work/debian.tar" "deb $(debian_site) bookworm main" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "mmdebstrap failed"; }
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/debian.tar" / >/dev/null
  : >"$work/debian.sources"
  chmod 0644 "$work/debian.sources"
  buildah add --quiet "$container" "$work/debian.sources" /etc/apt/sources.list.d/ >/dev/null
  buildah config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$image" >/dev/null
}

# Node's program from the npm package, and this machine's npm.
make_node() {
  local image=$1 debian=$2 container npm
  say "making $image of $debian, the npm package node and this machine's npm"
  [ -x "$root/node_modules/node/bin/node" ] || die "$root/node_modules is missing: run npm ci"
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  [ -e "$npm/bin/npm-cli.js" ] || die "npm is not where its command leads to: $npm"
  container=$(buildah from --pull-never "$debian")
  buildah add --quiet "$container" "$root/node_modules/node/bin/node" /usr/local/bin/node >/dev/null
  buildah add --quiet "$container" "$npm" /usr/local/lib/node_modules/npm >/dev/null
  buildah run --isolation chroot "$container" -- ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
  buildah commit --quiet --rm "$container" "$image" >/dev/null
}

pull() { [ -z "${BERTH_OFFLINE:-}" ] && buildah pull --quiet "$1" >/dev/null 2>&1; }

make_bases() {
  local work=$1 debian node
  debian=$(base_name BASE_IMAGE)
  node=$(base_name NODE_IMAGE)
  has_image "$debian" || pull "$debian" || make_debian "$debian" "$work"
  has_image "$node" || pull "$node" || make_node "$node" "$debian"
}

# Where this machine's apt has Debian 12 from: a mirror, perhaps.
debian_site() {
  apt-get indextargets --format '$(SITE) $(RELEASE) $(CREATED_BY)' |
    awk '$3 == "Packages" && $2 == "bookworm" { print $1; exit }'
}

# As Debian's own image has it.
sources() {
  printf 'Types: deb\nURIs: %s\nSuites: bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$1"
}

# Of this machine, for the time of the build alone: npm's registry, authorities and packages, apt's mirror. It is mounted over
# what is there, for a place to mount on would stay in the image.
lent() {
  local work=$1 authorities=${NODE_EXTRA_CA_CERTS:-} site
  mkdir -p "$cache/npm"
  printf 'registry=%s\ncache=/mnt\n' "$(npm config get registry)" >"$cache/npm/npmrc"
  if [ -n "$authorities" ]; then
    cp "$authorities" "$cache/npm/authorities"
    printf 'cafile=/mnt/authorities\n' >>"$cache/npm/npmrc"
  fi
  printf '%s\n' --volume "$cache/npm:/mnt" --build-arg npm_config_userconfig=/mnt/npmrc
  site=$(debian_site)
  [ -n "$site" ] || return 0
  sources "$site" >"$work/debian.sources"
  printf '%s\n' --volume "$work/debian.sources:/etc/apt/sources.list.d/debian.sources:ro"
}

build() {
  local work=$1 archive=$2 revision options
  revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || printf unknown)
  mapfile -t options < <(lent "$work")
  buildah bud --quiet --isolation chroot --pull-never --format oci --timestamp 0 --identity-label=false "${options[@]}" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag "$name" "$root" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "the build failed"; }
  buildah push --quiet "$name" "oci-archive:$archive.new:$name"
  mv "$archive.new" "$archive"
}

# What a build leaves, its result too: that is in the archive.
clear_storage() {
  buildah rm --all >/dev/null 2>&1 || :
  buildah rmi "$name" >/dev/null 2>&1 || :
  buildah rmi --prune --force >/dev/null 2>&1 || :
  rm -rf "$cache/run" "$1"
}

main() {
  local archive work
  archive=$cache/berth-$(fingerprint).oci.tar
  mkdir -p "$cache"
  if [ ! -e "$archive" ]; then
    exec 9>"$cache/.lock"
    flock --nonblock 9 || { say "another build is under way: waiting for it"; flock 9; }
  fi
  # It may have been this one.
  if [ ! -e "$archive" ]; then
    command -v buildah >/dev/null && command -v mmdebstrap >/dev/null || die "buildah and mmdebstrap are needed: run hack/tools.sh"
    rm -rf "$cache"/*.new "$cache"/work.*
    find "$cache" -maxdepth 1 \( -name 'berth-*' -o -name 'bases-*' \) -mtime +7 -exec rm -rf {} +
    work=$(mktemp -d "$cache/work.XXXXXX")
    # shellcheck disable=SC2064
    trap "clear_storage '$work'" EXIT
    export TMPDIR=$work
    make_bases "$work"
    build "$work" "$archive"
  fi
  touch "$archive"
  printf '%s\n' "$archive"
}

main
