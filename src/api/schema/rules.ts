/** Rules over several fields of `spec`; a rule within one field stands at that field. */
import type { Rule } from "./fields.ts";

const PUBLISHED = "!has(self.ports) || self.ports.all(p, !has(p.hostPort)";

export const specRules: Rule[] = [
  {
    rule: "!has(self.maxRestarts) || self.restartPolicy == 'OnFailure'",
    message: "maxRestarts is only for restartPolicy OnFailure",
    at: "maxRestarts",
  },
  {
    rule: "!has(self.autoRemove) || !self.autoRemove || self.restartPolicy == 'Never'",
    message: "autoRemove needs restartPolicy Never",
    at: "autoRemove",
  },
  {
    rule: "!has(self.user) || !has(self.securityContext) || !(has(self.securityContext.runAsUser) || has(self.securityContext.runAsGroup))",
    message: "user can't be given beside securityContext.runAsUser or runAsGroup: leave one of them out",
    at: "user",
  },
  {
    rule: `self.network.mode != 'Host' || ${PUBLISHED} || p.hostPort == p.containerPort)`,
    message:
      "with network.mode Host the container's ports are the node's: hostPort must be left out or be equal to containerPort",
    at: "ports",
  },
  {
    rule: `!(self.network.mode in ['None', 'Container']) || ${PUBLISHED})`,
    message: "hostPort can't be given with network.mode None or Container: only Bridge publishes ports",
    at: "ports",
  },
  {
    rule: "self.network.mode != 'Container' || !(has(self.hostname) || has(self.domainname))",
    message: "hostname and domainname are those of the joined Container with network.mode Container: leave them out",
    at: "hostname",
  },
  {
    rule: "self.network.mode != 'Host' || !has(self.securityContext) || !has(self.securityContext.sysctls) || self.securityContext.sysctls.all(s, !s.name.startsWith('net.') && !s.name.startsWith('net/'))",
    message: "sysctls of the network can't be set with network.mode Host: they would change the node's",
    at: "securityContext.sysctls",
  },
  {
    rule: "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
    message: "a volumeMount names a volume that is not in volumes",
    at: "volumeMounts",
  },
  {
    rule: "!has(self.volumeMounts) || self.volumeMounts.all(m, !has(m.mountPropagation) || m.mountPropagation != 'Bidirectional' || (has(self.securityContext) && has(self.securityContext.privileged) && self.securityContext.privileged))",
    message: "mountPropagation Bidirectional needs securityContext.privileged",
    at: "volumeMounts",
  },
];
