#!/usr/bin/env bash
# Prints what a cluster could leave on this machine, in a form that two runs can be compared by:
#   hack/machine-audit.sh >before; make demo; hack/machine-audit.sh | diff before -
set -euo pipefail

section() { printf '\n# %s\n' "$1"; }

section 'ip netns'
ip netns | sort
section 'ip link'
# Without counters and states that change by themselves.
ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | sort
section 'ip route'
ip route | sort
section 'sysctl'
cat /proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || cat /proc/sys/net/ipv6/conf/all/forwarding
for save in iptables-save ip6tables-save; do
  section "$save"
  if command -v "$save" >/dev/null; then
    "$save" 2>/dev/null | sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]//'
  fi
done
section 'mount'
mount | sort
section 'cgroups'
find /sys/fs/cgroup -type d -name 'berth*' | sort
section 'directories'
for dir in /run/containerd /run/runc /run/berth-local /run/netns /var/lib/cni /var/run/nri /opt/containerd; do
  [ ! -d "$dir" ] || find "$dir" -xdev -mindepth 1 -maxdepth 4 | sort
done
section 'processes'
# Not what has ended already; numbers differ from run to run.
ps -eo stat=,args= | awk '$1 !~ /^Z/ { $1 = ""; print }' |
  grep -E '(^ |/)(containerd|containerd-shim[^ ]*|runc|dockerd|etcd|kube-apiserver|docker-registry|bridge|host-local|portmap)( |$)|main\.[jt]s agent' |
  sed -E 's/[0-9a-f]{12,}/ID/g; s/[0-9]+/N/g' | sort || true
