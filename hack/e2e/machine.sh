#!/usr/bin/env bash
# A machine within the machine, for a whole cluster: namespaces, cgroups and a root file system of its own, so that a kubelet
# and an agent may do to it what they do to a node (mounts, iptables, sysctls, /var/lib, PID 1), and nothing of it is left.
#   machine.sh CGROUP KEEP... -- COMMAND...   runs COMMAND in it, and stays until it is killed, unless that failed
# CGROUP is the cgroup, below the hierarchies' roots, that becomes the machine's root; whoever calls removes it afterwards.
# KEEP are directories that the machine shares with this one, at their own paths; all else that it writes is in memory.
# With this process everything ends that was started in the machine. COMMAND finds the machine's address in MACHINE_ADDRESS.
set -euo pipefail

die() { printf 'machine.sh: %s\n' "$*" >&2; exit 1; }

# Version 1, version 2, or both.
hierarchies() { findmnt -rn -t cgroup,cgroup2 -o TARGET | grep '^/sys/fs/cgroup' | sort -u; }

outside() {
  local cgroup=$1 hierarchy file
  for hierarchy in $(hierarchies); do
    mkdir -p "$hierarchy$cgroup"
    # A new cpuset has neither processors nor memory, and takes no process then.
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$hierarchy$cgroup/$file" ] || cat "$hierarchy/$file" >"$hierarchy$cgroup/$file"
    done
    echo $$ >"$hierarchy$cgroup/cgroup.procs"
  done
  shift
  exec unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child=KILL "$0" --inside "$@"
}

# Mounts what the hierarchies show from this cgroup namespace.
mount_cgroups() {
  local target=$1/sys/fs/cgroup hierarchy options type
  if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$target"
    # Only a cgroup without processes of its own can hand its controllers on.
    mkdir "$target/init"
    echo 1 >"$target/init/cgroup.procs"
    sed 's/[^ ]*/+&/g' "$target/cgroup.controllers" >"$target/cgroup.subtree_control"
    return
  fi
  mount -t tmpfs -o mode=755 tmpfs "$target"
  findmnt -rn -t cgroup,cgroup2 -o TARGET,FSTYPE,FS-OPTIONS | while read -r hierarchy type options; do
    mkdir -p "$1$hierarchy"
    mount -t "$type" -o "$options" "$type" "$1$hierarchy"
  done
}

# What the kubelet sets for the whole kernel; it leaves alone what it finds as it wants it.
hide_sysctls() {
  local pair
  mkdir -p "$1/run/sysctl"
  for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    echo "${pair#*=}" >"$1/run/sysctl/$(basename "${pair%=*}")"
    mount --bind "$1/run/sysctl/$(basename "${pair%=*}")" "$1/proc/sys/${pair%=*}"
  done
}

inside() {
  local keep=() root=/mnt dir
  while [ "$1" != -- ]; do keep+=("$1"); shift; done
  shift
  mount -t tmpfs -o mode=755 tmpfs "$root"
  mkdir "$root"/{upper,work,root}
  mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/root"
  root=$root/root
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  # A tmpfs of its own: the snapshots' upper directories can't lie on an overlay.
  mount -t tmpfs -o mode=755 tmpfs "$root/var/lib"
  mount -t tmpfs -o mode=755 tmpfs "$root/var/log"
  mount_cgroups "$root"
  hide_sysctls "$root"
  for dir in "${keep[@]}"; do
    mkdir -p "$root$dir"
    mount --bind "$dir" "$root$dir"
  done
  mkdir -p "$root/run/old"
  pivot_root "$root" "$root/run/old"
  cd /
  umount -l /run/old
  # As systemd has it: what Pods mount with propagation reaches the node, and the other way round.
  mount --make-rshared /
  ip link set lo up
  # An interface that is up and a default route, by which programs find the machine's address.
  ip link add eth0 type veth peer name uplink
  for dir in eth0 uplink; do ip link set "$dir" up; done
  export MACHINE_ADDRESS=192.168.250.2
  ip address add "$MACHINE_ADDRESS/24" dev eth0
  ip route add default via 192.168.250.1
  hostname berth-e2e
  # As PID 1, which reaps orphans.
  "$@"
  sleep infinity &
  wait $!
}

if [ "${1:-}" = --inside ]; then shift; inside "$@"; else [ $# -gt 2 ] || die "see the first lines"; outside "$@"; fi
