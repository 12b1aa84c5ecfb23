#!/usr/bin/env bash
# Builds programs of Kubernetes from the upstream tarball of Debian's kubernetes source package.
#   build-kubernetes.sh TARBALL REFLECT2 DIRECTORY PROGRAM...   puts kube-apiserver, kubelet ... into DIRECTORY
# REFLECT2 is the source directory of github.com/modern-go/reflect2 1.0.2 or later: the vendored one is of before Go 1.18
# and makes a server built with a later Go crash at the first object of a CustomResourceDefinition.
set -euo pipefail

tarball=$1
reflect2=$2
target=$3
shift 3
programs=("$@")
work=$(mktemp -d "$(dirname "$target")/build.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# There is no git checkout to ask for the version.
write_version() {
  local version
  version=$(basename "$tarball" | sed -E 's/^kubernetes_(.*\+really)?([0-9.]+)\.orig.*$/\2/')
  cat <<EOF
KUBE_GIT_COMMIT='unknown'
KUBE_GIT_TREE_STATE='archive'
KUBE_GIT_VERSION='v$version'
KUBE_GIT_MAJOR='${version%%.*}'
KUBE_GIT_MINOR='$(printf %s "$version" | cut -d. -f2)'
EOF
}

main() {
  local vendored=$work/vendor/github.com/modern-go/reflect2 log=$target.log
  tar -xf "$tarball" -C "$work" --strip-components=1
  rm "$vendored"/*.go
  cp "$reflect2"/*.go "$vendored/"
  # With Go 1.16 and later the comparison behind `||` holds for every empty string, which is then refused as null.
  sed -i 's/if data == nil || reflect\.DeepEqual(.*) {$/if data == nil {/' \
    "$work"/vendor/{github.com/go-openapi/validate,k8s.io/kube-openapi/pkg/validation/validate}/type.go
  write_version >"$work/version"
  unset GOFLAGS GOPATH GOROOT
  # Without cgo no C compiler is needed.
  export CGO_ENABLED=0 GOCACHE="$work/.gocache" KUBE_GIT_VERSION_FILE="$work/version"
  # make, not go build: it generates the OpenAPI definitions first.
  if ! make -C "$work" WHAT="${programs[*]/#/cmd/}" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    exit 1
  fi
  rm -rf "$target"
  mkdir -p "$target"
  local program
  for program in "${programs[@]}"; do cp "$work"/_output/local/bin/linux/*/"$program" "$target/"; done
  rm -f "$log"
}

main
