#!/usr/bin/env bash
# The suite of test/e2e on a cluster of kind's, which is made for it and deleted afterwards, however it went.
# Needs Docker, kind, kubectl, Helm and Node; `npm ci` must have been run.
#
#   KIND_CLUSTER  the cluster's name (default: berth-e2e); one of that name must not be there
#   KIND_IMAGE    the nodes' image, and with it Kubernetes' version (default: kind's own)
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
root=$here/../../..
cluster=${KIND_CLUSTER:-berth-e2e}
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/package.json")
# By the chart's own default values.
image=example.com/berth:$version
work=$(mktemp -d)

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }

finish() {
  local status=$?
  [ "$status" = 0 ] || kind export logs --name "$cluster" "$root/.berth/kind-logs" >&2 || :
  kind delete cluster --name "$cluster" --kubeconfig "$work/kubeconfig" >&2
  rm -rf "$work"
}

for command in docker kind kubectl helm npm; do
  command -v "$command" >/dev/null || die "$command is needed"
done
[ -d "$root/node_modules" ] || die "$root/node_modules is missing: run npm ci"
! kind get clusters 2>/dev/null | grep -qx "$cluster" || die "a cluster $cluster is there already: kind delete cluster --name $cluster"

say "building $image"
docker build --quiet --tag "$image" "$root" >&2
trap finish EXIT
trap 'exit 130' INT TERM
kind create cluster --name "$cluster" --config "$here/kind.yaml" --kubeconfig "$work/kubeconfig" \
  ${KIND_IMAGE:+--image "$KIND_IMAGE"} --wait 5m >&2
kind load docker-image "$image" --name "$cluster" >&2
KUBECONFIG=$work/kubeconfig npm --prefix "$root" run test:e2e
