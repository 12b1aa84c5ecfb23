/**
 * The AppArmor profile of containers that name none, after Docker's: everything but mounts, kernel settings below /proc
 * and /sys, and processes of others.
 */
export const APPARMOR_NAME = "berth-default";

/** In the language of apparmor.d(5). What is denied stays so also for who has the capability. */
export const APPARMOR_PROFILE = `
profile ${APPARMOR_NAME} flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,

  signal (receive) peer=unconfined,
  signal (receive) peer={runc,crun},
  signal (send, receive) peer=${APPARMOR_NAME},
  ptrace (trace, read, tracedby, readby) peer=${APPARMOR_NAME},

  deny mount,

  # /proc: nothing but what is a process's, and kernel/shm* of sys.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sys[^/]*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny /proc/{kcore,sysrq-trigger} rwklx,

  # /sys: nothing but cgroups.
  deny /sys/{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/{devices/virtual/powercap,firmware,kernel/security}/** rwklx,
}
`;
