/** What a preflight knows of a cluster and its nodes: values alone, so that what follows from them is a table. */
import type { LabelSelector } from '@ambit/kube/label-selector';

/** A reason not to look at nodes from inside that the user gave. */
export const TOLD_NOT_TO_PROBE = 'told so (--no-probe)';

export interface PreflightFacts {
  readonly cluster: ClusterFacts;
  readonly nodes: readonly NodeView[];
  /** Why no pod looked at the nodes from inside; `undefined`: pods did. */
  readonly notProbed: string | undefined;
  /** Images come from where the chart has them by default, and no other was told. */
  readonly defaultHub: boolean;
}

export interface ClusterFacts {
  /** As the server says it: `v1.34.4`. */
  readonly version: string | undefined;
  /** The API server's clock less ours; `undefined`: it did not tell the time. */
  readonly clockAheadMs: number | undefined;
  readonly gatewayApi: boolean;
  /** Served: what holds istiod and the node agents to less than RBAC can. */
  readonly admissionPolicies: boolean;
  readonly openshift: boolean;
  /** Of Cilium's ConfigMap; `undefined`: no Cilium. */
  readonly cilium: Readonly<Record<string, string>> | undefined;
  readonly kubeProxy: boolean;
  /** Other meshes, each as its workload's title. */
  readonly meshes: readonly { readonly name: string; readonly title: string }[];
  readonly policies: readonly PolicyView[];
  readonly namespaces: readonly NamespaceView[];
  readonly installed: readonly { readonly component: string; readonly version: string }[];
  /** `global.platform` of the installation that is there. */
  readonly platform: string;
  readonly commandVersion: string;
  /** Of the control plane that is there, or would be installed. */
  readonly revision: string;
  /** What says which revision is the default one. */
  readonly defaultTags: readonly DefaultTag[];
}

/** A MutatingWebhookConfiguration that makes a revision the default one, as `istioctl tag set` does. */
export interface DefaultTag {
  readonly name: string;
  readonly revision: string;
  /** `namespace/name` of the Service of that control plane, which is not there; `undefined`: it is, or none is named. */
  readonly missingService: string | undefined;
}

/** A NetworkPolicy as far as it says what may come in. */
export interface PolicyView {
  readonly namespace: string;
  readonly name: string;
  /** The pods that it is for. */
  readonly podSelector: LabelSelector;
  readonly letsMeshIn: boolean;
  /** It lets something in, and not the mesh. What lets in nothing at all keeps out the same with and without a mesh. */
  readonly excludesMesh: boolean;
}

export interface NamespaceView {
  readonly name: string;
  readonly enrolled: boolean;
  readonly sidecars: boolean;
}

export interface NodeView {
  readonly name: string;
  /** `linux`, `windows`. */
  readonly os: string;
  readonly kubelet: string;
  readonly kernel: string;
  /** As our chart names it; empty: none that needs a setting. */
  readonly platform: string;
  readonly ready: boolean;
  /** `undefined`: no pod was to look at it. */
  readonly probe: Probe | undefined;
}

export type Probe =
  | { readonly kind: 'failed'; readonly reason: string }
  | {
      readonly kind: 'looked';
      readonly nftables: string;
      readonly iptables: string;
      readonly cniFolder: string;
      readonly cniFolderProblem: string;
      readonly cniConfigs: readonly { readonly file: string; readonly types: readonly string[] }[];
      /** The kubelet has reached the pod's probe port. */
      readonly probed: boolean;
      /** The node's clock less ours. */
      readonly clockAheadMs: number;
      readonly selinux: string;
      readonly apparmor: string;
      /** Nodes whose pods could not be reached on port 15008, and why. */
      readonly unreached: readonly { readonly node: string; readonly problem: string }[];
    };
