/** The kubelet's peer within its machine, where the API server can be reached. */
import { KubeApi } from "../../src/kube/index.ts";
import { Kubelet, type KubeletOptions } from "./kubelet.ts";
import { servePeer } from "./peer-process.ts";

const { kubeconfig, ...options } = JSON.parse(process.argv[2] ?? "") as Omit<KubeletOptions, "api"> & {
  readonly kubeconfig: string;
};
servePeer(new Kubelet({ ...options, api: KubeApi.load({ kubeconfig }) }));
