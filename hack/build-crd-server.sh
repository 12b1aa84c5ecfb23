#!/usr/bin/env bash
# Builds apiextensions-apiserver, the API server of CustomResourceDefinitions, from Debian's packages of Go sources.
#   build-crd-server.sh DEBS DIRECTORY   puts the program into DIRECTORY; DEBS has the packages, with the Go to build with
set -euo pipefail

debs=$1
target=$2
work=$(mktemp -d "$(dirname "$target")/crd-build.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# The sources' own dependencies ask for whole clouds of clients, which the server is not made of.
unpack() {
  local deb
  for deb in "$debs"/golang-*.deb; do
    case ${deb##*/} in
      golang-github-aws-* | golang-github-azure-* | golang-google-api-* | golang-google-cloud-* | golang-gonum-*) ;;
      *) dpkg -x "$deb" "$work" ;;
    esac
  done
}

main() {
  local log=$target.log go version
  unpack
  go=$(cd "$work/usr/lib" && ls -d go-[0-9]*)
  version=$(basename "$debs"/golang-k8s-apiextensions-apiserver-dev_*.deb | sed -E 's/^[^_]*_0([0-9.]+)-.*/1\1/')
  unset GOROOT
  export GOROOT=$work/usr/lib/$go GOPATH=$work/usr/share/gocode GOCACHE=$work/.gocache GOFLAGS="" GO111MODULE=off GOTOOLCHAIN=local
  # Without cgo no C compiler is needed.
  export CGO_ENABLED=0
  mkdir -p "$target"
  if ! "$GOROOT/bin/go" build -trimpath -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v$version" \
    -o "$target/apiextensions-apiserver" k8s.io/apiextensions-apiserver >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    exit 1
  fi
  rm -f "$log"
}

main
