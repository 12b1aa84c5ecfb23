#!/usr/bin/env bash
# Beside hack/tools.sh, what makes a kube-apiserver a whole cluster: kubelet, kube-controller-manager and kube-scheduler of
# its version, from where Kubernetes publishes them, or built as it was.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../tools.sh
. "$(dirname "$(readlink -f "$0")")/../tools.sh"
programs=(kubelet kube-controller-manager kube-scheduler)
# To be raised when the build's recipe changes.
recipe=1

download_programs() {
  [ -z "${BERTH_OFFLINE:-}" ] || return 1
  local version=$1 dir=$2 program url
  say "looking for the rest of Kubernetes $version on the internet"
  for program in "${programs[@]}"; do
    url=https://dl.k8s.io/release/$version/bin/linux/$(dpkg --print-architecture)/$program
    curl -fsSL --connect-timeout 5 --max-time 20 -o "$dir/sum" "$url.sha256" 2>/dev/null || return 1
    curl -fL --connect-timeout 5 --speed-limit 10000 --speed-time 20 --progress-bar -o "$dir/$program" "$url" || return 1
    printf '%s  %s\n' "$(cat "$dir/sum")" "$dir/$program" | sha256sum --check --status || return 1
    chmod +x "$dir/$program"
  done
}

server=${KUBEBUILDER_ASSETS:-$cache/kube-apiserver}/kube-apiserver

fetch_or_build() {
  local version=$1 dir=$cache/kubernetes.new
  rm -rf "$dir" && mkdir -p "$dir"
  if ! download_programs "$version" "$dir"; then
    [ "$version" = v1.20.2 ] || die "$server is of $version: its kubelet can be had on the internet only"
    say "not to be had: building them from Debian 12's source package instead (about 4 minutes, only this once)"
    build_kubernetes "$dir" "${programs[@]}"
  fi
  printf %s "$version $recipe" >"$dir/.complete"
  rm -rf "$cache/kubernetes"
  mv "$dir" "$cache/kubernetes"
}

main
version=$("$server" --version | cut -d ' ' -f 2)
if ! cached kubernetes "$version $recipe"; then
  lock
  fetch_or_build "$version"
fi
