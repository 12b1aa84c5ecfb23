/** For each value of the chart another one than the default, with what it needs beside it; and values that are refused. */

/** Sets the value at a path whose keys are separated by dots. */
export function valuesOf(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(settings)) {
    const keys = path.split(".");
    let at = values;
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[keys.at(-1) ?? ""] = value;
  }
  return values;
}

const TOLERATIONS = [{ key: "example.com/dedicated", operator: "Exists" }];
const AFFINITY = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: "example.com/berth", operator: "Exists" }] }],
    },
  },
};
const RESOURCES = { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "1Gi" } };
const LABELS = { "example.com/team": "a" };
const TEXTS = { "example.com/team": "a: b" };
const SCRAPED = { "agent.config.metrics-address": "$(HOST_IP):9469" };
const BUDGET = { "agent.config.cgroup-cpu": "1500m", "agent.config.cgroup-memory": "4Gi" };

/** Another value of each path, and settings without which it says nothing. */
export const OTHERS: Readonly<Record<string, readonly [unknown, Readonly<Record<string, unknown>>?]>> = {
  "image.repository": ["registry.example.com:5000/team/berth"],
  "image.tag": ["1.2.3-rc.1"],
  "image.digest": [`sha256:${"0".repeat(64)}`],
  "image.pullPolicy": ["Always"],
  imagePullSecrets: [[{ name: "registry" }], { "reservation.enabled": true, ...BUDGET }],
  "agent.config.containerd-address": ["/run/k3s/containerd/containerd.sock"],
  "agent.config.containerd-namespace": ["other"],
  "agent.config.snapshotter": ["native"],
  "agent.config.state-dir": ["/run/other"],
  "agent.config.data-dir": ["/srv/berth"],
  "agent.config.log-dir": ["/srv/log"],
  "agent.config.cni-bin-dir": ["/usr/libexec/cni"],
  "agent.config.cni-conf-dir": ["/etc/cni/berth.d"],
  "agent.config.registry-hosts-dir": ["/etc/containerd/certs.d"],
  "agent.config.bridge-name": ["br1"],
  "agent.config.bridge-subnet": ["192.168.0.0/24"],
  "agent.config.spare-networks": [0],
  "agent.config.cgroup-root": ["/kubepods/berth"],
  "agent.config.cgroup-cpu": [2],
  "agent.config.cgroup-memory": [4_294_967_296],
  "agent.config.cgroup-pids": [4_000_000],
  "agent.config.pod-security-default": ["restricted"],
  "agent.config.image-gc-high": [100],
  "agent.config.image-gc-low": [0],
  "agent.config.concurrency": [16],
  "agent.config.metrics-address": [":9999"],
  "agent.config.log-level": ["debug"],
  "agent.config.log-format": ["pretty"],
  "agent.config.runtimes": [{ crun: { type: "io.containerd.runc.v2", options: { BinaryName: "/usr/bin/crun" } } }],
  "agent.nodeSelector": [LABELS],
  "agent.affinity": [AFFINITY, { "reservation.enabled": true, ...BUDGET }],
  "agent.tolerations": [TOLERATIONS],
  "agent.priorityClassName": [""],
  "agent.resources": [RESOURCES],
  "agent.updateStrategy": [{ type: "OnDelete", rollingUpdate: null }],
  "agent.terminationGracePeriodSeconds": [60],
  "agent.podLabels": [LABELS],
  "agent.podAnnotations": [TEXTS],
  "controller.enabled": [false],
  "controller.replicas": [1],
  "controller.config.grace-period": ["5m"],
  "controller.config.agentless-after": ["1m30s"],
  "controller.config.lease-duration": ["30s"],
  "controller.config.renew-deadline": ["20s"],
  "controller.config.retry-period": ["500ms"],
  "controller.config.metrics-address": ["0.0.0.0:8080"],
  "controller.config.log-level": ["warn"],
  "controller.config.log-format": ["pretty"],
  "controller.nodeSelector": [LABELS],
  "controller.affinity": [AFFINITY],
  "controller.tolerations": [TOLERATIONS],
  "controller.priorityClassName": [""],
  "controller.resources": [RESOURCES],
  "controller.podLabels": [LABELS],
  "controller.podAnnotations": [TEXTS],
  "references.namespaces": [["default", "kube-public"]],
  "rbac.aggregateToView": [true],
  "rbac.aggregateToEdit": [true, { "agent.config.pod-security-default": "baseline" }],
  "policies.podSecurity": [false],
  "policies.ownNode": [false],
  "reservation.enabled": [true, BUDGET],
  "reservation.image": ["registry.example.com/pause:1", { "reservation.enabled": true, ...BUDGET }],
  "monitoring.service.enabled": [true, SCRAPED],
  "monitoring.service.annotations": [TEXTS, { "monitoring.service.enabled": true, ...SCRAPED }],
  "monitoring.podMonitor.enabled": [true, SCRAPED],
  "monitoring.podMonitor.labels": [LABELS, { "monitoring.podMonitor.enabled": true, ...SCRAPED }],
  "monitoring.podMonitor.interval": ["1m", { "monitoring.podMonitor.enabled": true, ...SCRAPED }],
  "monitoring.prometheusRule.enabled": [true],
  "monitoring.prometheusRule.labels": [LABELS, { "monitoring.prometheusRule.enabled": true }],
  "monitoring.dashboard.enabled": [true],
  "monitoring.dashboard.labels": [LABELS, { "monitoring.dashboard.enabled": true }],
  "uninstall.deleteContainers": [true],
  "uninstall.timeout": ["1h", { "uninstall.deleteContainers": true }],
  "test.containerImage": ["docker.io/library/busybox:1.36"],
};

/** Settings that are refused, and what is said of them: the key, and what is wrong with it. */
export const REFUSED: readonly [Readonly<Record<string, unknown>>, RegExp][] = [
  [{ agents: {} }, /additional properties 'agents' not allowed/],
  [{ "agent.flags": {} }, /'\/agent': additional properties 'flags' not allowed/],
  [{ "agent.config.node-name": "node-1" }, /'\/agent\/config': additional properties 'node-name' not allowed/],
  [{ "controller.config.kubeconfig": "/x" }, /'\/controller\/config': additional properties 'kubeconfig' not allowed/],
  [{ "image.repository": "" }, /'\/image\/repository': minLength/],
  [{ "image.digest": "0123" }, /'\/image\/digest': '0123' does not match/],
  [{ "image.pullPolicy": "Sometimes" }, /'\/image\/pullPolicy': value must be one of 'Always'/],
  [{ imagePullSecrets: ["registry"] }, /'\/imagePullSecrets\/0': got string, want object/],
  [{ "agent.config.state-dir": "run/berth" }, /'\/agent\/config\/state-dir': 'run\/berth' does not match/],
  [{ "agent.config.cni-bin-dir": "/a:b" }, /'\/agent\/config\/cni-bin-dir': '\/a:b' does not match/],
  [{ "agent.config.bridge-subnet": "10.0.0.0/31" }, /'\/agent\/config\/bridge-subnet'/],
  [{ "agent.config.spare-networks": 100 }, /'\/agent\/config\/spare-networks': maximum: got 100, want 99/],
  [{ "agent.config.bridge-name": "a-name-too-long-for-it" }, /'\/agent\/config\/bridge-name'/],
  [{ "agent.config.cgroup-cpu": 0 }, /'\/agent\/config\/cgroup-cpu': minimum: got 0, want 1/],
  [{ "agent.config.cgroup-memory": "lots" }, /'\/agent\/config\/cgroup-memory': 'lots' does not match/],
  [{ "agent.config.pod-security-default": "open" }, /'\/agent\/config\/pod-security-default': value must be one of/],
  [{ "agent.config.image-gc-high": 101 }, /'\/agent\/config\/image-gc-high': maximum: got 101, want 100/],
  [{ "agent.config.metrics-address": "" }, /'\/agent\/config\/metrics-address'/],
  [{ "agent.config.log-level": "loud" }, /'\/agent\/config\/log-level': value must be one of 'trace'/],
  [{ "agent.config.runtimes": { crun: {} } }, /'\/agent\/config\/runtimes\/crun': missing property 'type'/],
  [{ "agent.updateStrategy.type": "Recreate" }, /'\/agent\/updateStrategy\/type'/],
  [{ "agent.updateStrategy.rollingUpdate.maxSurge": 1 }, /'\/agent\/updateStrategy\/rollingUpdate'.*'maxSurge'/],
  [{ "agent.terminationGracePeriodSeconds": 1 }, /'\/agent\/terminationGracePeriodSeconds': minimum: got 1, want 10/],
  [{ "agent.podAnnotations": { a: 1 } }, /'\/agent\/podAnnotations\/a': got number, want string/],
  [{ "controller.replicas": 0 }, /'\/controller\/replicas': minimum: got 0, want 1/],
  [{ "controller.config.grace-period": "soon" }, /'\/controller\/config\/grace-period': 'soon' does not match/],
  [{ "references.namespaces": ["*"] }, /'\/references\/namespaces\/0': '\*' does not match/],
  [{ "policies.ownNode": "maybe" }, /'\/policies\/ownNode': value must be one of 'auto'/],
  [{ "uninstall.timeout": 300 }, /'\/uninstall\/timeout': got number, want string/],
  [{ "rbac.aggregateToEdit": true }, /rbac\.aggregateToEdit: .*agent\.config\.pod-security-default/],
  [{ "reservation.enabled": true }, /reservation\.enabled: .*agent\.config\.cgroup-cpu/],
  [{ "monitoring.podMonitor.enabled": true }, /monitoring\.podMonitor\.enabled: .*agent\.config\.metrics-address/],
  [{ "monitoring.service.enabled": true }, /monitoring\.service\.enabled: .*agent\.config\.metrics-address/],
];
