/**
 * The objects by which a preflight looks at nodes: a namespace of its own with a DaemonSet in it, and nothing else.
 *
 * Least privilege: no token, no host network, the node's CNI folder read-only. The two capabilities reach no further than
 * the pod's own network namespace, in which rules are tried.
 */
import type { KubeObject } from '@ambit/kube/resource';

export const PREFLIGHT_LABEL = 'ambit.mesh/preflight';
export const PREFLIGHT_NAME = 'ambit-preflight';
/** ISO 8601; whoever made the namespace has removed it by then, or will not any more. */
const UNTIL_ANNOTATION = 'ambit.mesh/preflight-until';
const PROBE_PORT = 15_021;

/** @param untilMs - When the run that makes it is over, whatever happens. */
export function preflightNamespace(name: string, untilMs: number): KubeObject {
  const labels = {
    [PREFLIGHT_LABEL]: 'true',
    'app.kubernetes.io/part-of': PREFLIGHT_NAME,
    'istio.io/dataplane-mode': 'none',
    // A folder of the node, if only to read, and capabilities.
    'pod-security.kubernetes.io/enforce': 'privileged',
  };
  const annotations = { [UNTIL_ANNOTATION]: new Date(untilMs).toISOString() };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } };
}

/** Whether a run that was killed has left it: the label alone says nothing, and another user's run may be under way. */
export function isLeftover({ metadata }: KubeObject, nowMs: number): boolean {
  const { name, labels, annotations, deletionTimestamp } = metadata;
  const untilMs = Date.parse(annotations?.[UNTIL_ANNOTATION] ?? '');
  return (
    labels?.[PREFLIGHT_LABEL] === 'true' &&
    name.startsWith(`${PREFLIGHT_NAME}-`) &&
    deletionTimestamp === undefined &&
    untilMs < nowMs
  );
}

export interface PreflightPods {
  readonly namespace: string;
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
  readonly cniFolder: string;
}

export function preflightDaemonSet({
  namespace,
  image,
  imagePullPolicy,
  cniFolder,
}: PreflightPods): KubeObject {
  const labels = { app: PREFLIGHT_NAME, 'sidecar.istio.io/inject': 'false' };
  const container = {
    name: 'preflight',
    image,
    ...(imagePullPolicy !== undefined && { imagePullPolicy }),
    args: ['preflight'],
    env: [
      { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'XTABLES_LOCKFILE', value: '/tmp/xtables.lock' },
    ],
    readinessProbe: { httpGet: { path: '/healthz', port: PROBE_PORT }, periodSeconds: 1, timeoutSeconds: 2 },
    resources: { requests: { cpu: '10m', memory: '64Mi' } },
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [
      { name: 'cni-net-dir', mountPath: '/host/etc/cni/net.d', readOnly: true },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  };
  const spec = {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 1,
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    containers: [container],
    volumes: [
      // Not made where it is not there: that is a finding.
      { name: 'cni-net-dir', hostPath: { path: cniFolder, type: 'Directory' } },
      { name: 'tmp', emptyDir: {} },
    ],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: PREFLIGHT_NAME, namespace },
    spec: { selector: { matchLabels: { app: PREFLIGHT_NAME } }, template: { metadata: { labels }, spec } },
  } as KubeObject;
}
