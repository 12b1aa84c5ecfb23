/** What a process sees of the world it is in: a script that tells it, and what is made comparable of its answer. */

/**
 * Prints sections: `@name`, then its lines. What a user may not read is left out by both sides alike. Files of names are read
 * by `sed`: busybox's `cat` has the kernel pass on pages, whose content is that of the moment when they leave the pipe, in
 * the length that the file had before.
 */
export const LOOK = String.raw`
exec 2>/dev/null
at() { echo "@$1"; }
at status; grep -E '^(Uid|Gid|Groups|Cap[A-Z][a-z]+|NoNewPrivs|Seccomp|Seccomp_filters|Cpus_allowed_list|Umask|THP_enabled):' /proc/self/status
at id; id
at process; echo "nice $(nice)"; for fd in 0; do readlink /proc/$$/fd/$fd; done; awk '{ print "pid", ($1 == 1), "session", ($6 == $1), "tty", $7 }' /proc/$$/stat
at env; tr '\000' '\n' < /proc/$$/environ
at cwd; pwd; stat -c '%u:%g %a' .
at mounts; awk '{ i = 7; o = ""; while ($i != "-") { o = o " " $i; i++ } gsub(":[0-9]+", "", o); print $5, $6, (o != "" ? o : "private"), $(i+1), $(i+2), $(i+3) }' /proc/self/mountinfo
at limits; grep ^Max /proc/self/limits
at oom; cat /proc/self/oom_score_adj
at namespaces; for n in cgroup ipc mnt net pid user uts; do echo "$n $(readlink /proc/self/ns/$n)"; done
at cgroup; sed -E 's/^[0-9]+://' /proc/self/cgroup
cd /sys/fs/cgroup && for f in memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.swappiness memory/memory.oom_control memory/memory.kmem.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares cpuset/cpuset.cpus cpuset/cpuset.mems pids/pids.max devices/devices.list blkio/blkio.weight hugetlb/hugetlb.2MB.limit_in_bytes memory.max memory.low memory.swap.max cpu.max cpu.weight pids.max; do [ ! -r $f ] || sed "s|^|$f |" $f | grep -v 'oom_kill '; done; cd /
for f in hosts hostname resolv.conf; do at $f; stat -c '%F %a %u:%g' /etc/$f; sed -n p /etc/$f; done
at names; hostname; cat /proc/sys/kernel/domainname
at devices; find /dev -path '/dev/pts/[0-9]*' -o -exec stat -c '%N %F %t:%T %a %u:%g' {} +
at sysctls; cd /proc/sys; for f in net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/ip_forward net/ipv6/conf/all/disable_ipv6 net/ipv6/conf/default/disable_ipv6 net/ipv6/conf/eth0/disable_ipv6 net/core/somaxconn kernel/shmmax kernel/shmall kernel/shmmni kernel/msgmax kernel/sem fs/mqueue/msg_max kernel/ngroups_max; do [ ! -r $f ] || echo "$f $(cat $f | xargs)"; done; cd /
at network; ip -o link | sed -E 's/^[0-9]+: //; s/ qlen [0-9]+//; s/@if[0-9]+//; s/link-netnsid [0-9]+//; s/link\/ether [0-9a-f:]+/link\/ether MAC/'; ip -o addr | awk '{ print $2, $3, $4 }'; ip route; ip -6 route
at files; find / -xdev ! -path '/proc/*' ! -path '/sys/*' ! -path '/dev/*' -exec stat -c '%N %F %a %u:%g' {} + | sort
for d in /data /shared /scratch /many; do [ ! -d $d ] || find $d -exec stat -c '%N %F %a %u:%g' {} +; done
at may; for p in /proc/kcore /proc/interrupts /proc/timer_list /sys/firmware /proc/acpi; do [ ! -e $p ] || echo "$p $(head -c 1 $p | wc -c) $(ls $p | wc -l)"; done
for f in /touched /tmp/touched /dev/shm/touched /etc/hosts /proc/sys/kernel/msgmax /sys/fs/cgroup/pids/pids.max; do (: >> $f) && echo "write $f"; done
unshare -U true && echo unshare; unshare -m true && echo unshare-mounts; (mount -t tmpfs none /mnt || mount -t tmpfs none /tmp) && echo mount; hostname other && echo sethostname; chown 1 /tmp && echo chown; mknod /tmp/n c 1 5 && echo mknod; (: < /tmp/n) && echo opened; mkdir /tmp/c && echo mkdir; nice -n -5 true && echo nice
at end; echo reached
`;

/** What one run was like. */
export interface Run {
  readonly exitCode: number | undefined;
  readonly output: string;
}

/** Words of one side that stand for the same on the other: `[what it says, what is compared]`. */
export type Words = readonly (readonly [RegExp | string, string])[];

/** The lines of a run, each with its section before it, in no order. */
export function linesOf({ exitCode, output }: Run, words: Words): string[] {
  let section = "output";
  const lines = [`exit code ${exitCode}`];
  for (const line of output.split("\n")) {
    if (line.startsWith("@")) section = line.slice(1);
    else if (line !== "") lines.push(`${section} ${line.replace(/\s+/g, " ").trimEnd()}`);
  }
  return lines.map((line) => words.reduce((text, [said, meant]) => text.replaceAll(said, meant), line)).sort();
}

/** Lines of the one side alone (`-`, Docker's) and of the other (`+`, Berth's). */
export function differences(docker: readonly string[], berth: readonly string[]): string[] {
  return [...without(docker, berth).map((line) => `- ${line}`), ...without(berth, docker).map((line) => `+ ${line}`)];
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const rest = [...others];
  return lines.filter((line) => {
    const index = rest.indexOf(line);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}
