/**
 * What runs of the mesh, as its chart makes it: names, labels, variables, mounts and ports are Istio's, so that tools find
 * what they look for. What differs is that a container's command is a program of this repository, since the lab has no
 * images. Accounts, permissions and the like are the chart's own (mesh.ts). Pure.
 */
import { VERSION } from '@ambit/core/gen/version';
import type { KubeObject } from '@ambit/kube/resource';

export const SYSTEM_NAMESPACE = 'istio-system';

/** On each node: what would be the agent's image, the plugin as one file. */
export const PLUGIN_IMAGE_FOLDER = '/opt/ambit/cni';
const PLUGIN_SOURCE = '/image/opt/cni/bin';

export interface MeshOptions {
  /** The top of the repository. */
  readonly top: string;
  /** Runs TypeScript: Node's program. */
  readonly node: string;
  /** Added to the variables of each part, over what stands here. */
  readonly env?: {
    readonly istiod?: Readonly<Record<string, string>>;
    readonly ztunnel?: Readonly<Record<string, string>>;
    readonly cni?: Readonly<Record<string, string>>;
  };
}

const PART_OF = { 'app.kubernetes.io/part-of': 'ambit' };
/** By which the ambit command knows what it has before it. */
const OBJECT_LABELS = {
  ...PART_OF,
  'app.kubernetes.io/version': VERSION,
  'app.kubernetes.io/managed-by': 'ambit-lab',
};
const OUT_OF_MESH = { 'istio.io/dataplane-mode': 'none', 'sidecar.istio.io/inject': 'false' };
const ENABLEMENT_SELECTOR = `
- podSelector:
    matchLabels: {istio.io/dataplane-mode: ambient}
- podSelector:
    matchExpressions: [{key: istio.io/dataplane-mode, operator: NotIn, values: [none]}]
  namespaceSelector:
    matchLabels: {istio.io/dataplane-mode: ambient}
`;
const TOKEN_VOLUME = {
  name: 'istio-token',
  projected: {
    sources: [
      { serviceAccountToken: { audience: 'istio-ca', expirationSeconds: 43_200, path: 'istio-token' } },
    ],
  },
};
const TOKEN_MOUNT = { name: 'istio-token', mountPath: '/var/run/secrets/tokens' };

export function meshManifests(options: MeshOptions): readonly KubeObject[] {
  return [istiodDeployment(options), cniConfig(options), cniDaemonSet(options), ztunnelDaemonSet(options)];
}

function namespaced(apiVersion: string, kind: string, name: string, body: object): KubeObject {
  return {
    apiVersion,
    kind,
    metadata: { name, namespace: SYSTEM_NAMESPACE, labels: OBJECT_LABELS },
    ...body,
  };
}

function program({ node, top }: MeshOptions, path: string, ...args: readonly string[]): readonly string[] {
  return [node, `${top}/packages/${path}`, ...args];
}

const variables = (env: Readonly<Record<string, string>>) =>
  Object.entries(env).map(([name, value]) => ({ name, value }));
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

function istiodDeployment(options: MeshOptions): KubeObject {
  const labels = { app: 'istiod', istio: 'pilot', 'istio.io/dataplane-mode': 'none', ...PART_OF };
  return namespaced('apps/v1', 'Deployment', 'istiod', {
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'istiod' } },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: 'istiod',
          containers: [
            {
              name: 'discovery',
              image: 'ambit/istiod-lite',
              command: program(options, 'istiod-lite/src/main.ts', 'discovery'),
              env: [
                ...variables({
                  CLUSTER_ID: 'Kubernetes',
                  CA_TRUSTED_NODE_ACCOUNTS: 'istio-system/ztunnel',
                  ...options.env?.istiod,
                }),
                field('POD_NAME', 'metadata.name'),
                field('POD_NAMESPACE', 'metadata.namespace'),
                field('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
              ],
              ports: [{ containerPort: 15_012, protocol: 'TCP', name: 'grpc-xds' }],
              readinessProbe: {
                httpGet: { path: '/ready', port: 8_080 },
                initialDelaySeconds: 1,
                periodSeconds: 3,
                timeoutSeconds: 5,
              },
              volumeMounts: [TOKEN_MOUNT, { name: 'local-certs', mountPath: '/var/run/secrets/istio-dns' }],
            },
          ],
          volumes: [TOKEN_VOLUME, { name: 'local-certs', emptyDir: { medium: 'Memory' } }],
        },
      },
    },
  });
}

function cniConfig({ env }: MeshOptions): KubeObject {
  return namespaced('v1', 'ConfigMap', 'istio-cni-config', {
    data: {
      AMBIENT_ENABLED: 'true',
      AMBIENT_ENABLEMENT_SELECTOR: ENABLEMENT_SELECTOR,
      AMBIENT_DNS_CAPTURE: 'true',
      AMBIENT_IPV6: 'true',
      AMBIENT_RECONCILE_POD_RULES_ON_STARTUP: 'true',
      ENABLE_AMBIENT_DETECTION_RETRY: 'false',
      CHAINED_CNI_PLUGIN: 'true',
      ISTIO_OWNED_CNI_CONFIG: 'false',
      EXCLUDE_NAMESPACES: 'kube-system',
      NATIVE_NFTABLES: 'true',
      ...env?.cni,
    },
  });
}

/** hostPath, mounted where the chart mounts it. */
const hostMounts = (paths: Readonly<Record<string, readonly [hostPath: string, mountPath: string]>>) => ({
  volumes: Object.entries(paths).map(([name, [path]]) => ({
    name,
    hostPath: { path, type: 'DirectoryOrCreate' },
  })),
  volumeMounts: Object.entries(paths).map(([name, [, mountPath]]) => ({ name, mountPath })),
});

function cniDaemonSet(options: MeshOptions): KubeObject {
  const { volumes, volumeMounts } = hostMounts({
    'cni-bin-dir': ['/opt/cni/bin', '/host/opt/cni/bin'],
    'cni-net-dir': ['/etc/cni/net.d', '/host/etc/cni/net.d'],
    'cni-run-dir': ['/var/run/istio-cni', '/var/run/istio-cni'],
    'cni-host-procfs': ['/proc', '/host/proc'],
    'cni-netns-dir': ['/var/run/netns', '/host/var/run/netns'],
    'cni-ztunnel-sock-dir': ['/var/run/ztunnel', '/var/run/ztunnel'],
    'plugin-image': [PLUGIN_IMAGE_FOLDER, PLUGIN_SOURCE],
  });
  return namespaced('apps/v1', 'DaemonSet', 'istio-cni-node', {
    spec: {
      selector: { matchLabels: { 'k8s-app': 'istio-cni-node' } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      template: {
        metadata: { labels: { 'k8s-app': 'istio-cni-node', ...OUT_OF_MESH, ...PART_OF } },
        spec: {
          serviceAccountName: 'istio-cni',
          // The chart's ambient.shareHostNetworkNamespace: process 1 of this machine is not in the node's namespace.
          hostNetwork: true,
          dnsPolicy: 'ClusterFirstWithHostNet',
          terminationGracePeriodSeconds: 30,
          containers: [
            {
              name: 'install-cni',
              image: 'ambit/install-cni',
              command: program(options, 'cni/src/agent/main.ts', '--log_output_level=info'),
              envFrom: [{ configMapRef: { name: 'istio-cni-config' } }],
              env: [
                ...variables({ REPAIR_ENABLED: 'false', AMBIT_CNI_PLUGIN_SOURCE: PLUGIN_SOURCE }),
                field('NODE_NAME', 'spec.nodeName'),
                field('KUBERNETES_NODE_NAME', 'spec.nodeName'),
                field('POD_NAME', 'metadata.name'),
                field('POD_NAMESPACE', 'metadata.namespace'),
              ],
              ports: [{ containerPort: 15_014, name: 'metrics', protocol: 'TCP' }],
              readinessProbe: { httpGet: { path: '/readyz', port: 8_000 } },
              volumeMounts,
            },
          ],
          volumes,
        },
      },
    },
  });
}

function ztunnelDaemonSet(options: MeshOptions): KubeObject {
  const labels = { app: 'ztunnel', 'app.kubernetes.io/name': 'ztunnel', ...OUT_OF_MESH, ...PART_OF };
  const { volumes, volumeMounts } = hostMounts({
    'cni-ztunnel-sock-dir': ['/var/run/ztunnel', '/var/run/ztunnel'],
  });
  const control = 'istiod.istio-system.svc:15012';
  return namespaced('apps/v1', 'DaemonSet', 'ztunnel', {
    spec: {
      selector: { matchLabels: { app: 'ztunnel' } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels,
          annotations: {
            'sidecar.istio.io/inject': 'false',
            'prometheus.io/port': '15020',
            'prometheus.io/scrape': 'true',
          },
        },
        spec: {
          serviceAccountName: 'ztunnel',
          terminationGracePeriodSeconds: 30,
          containers: [
            {
              name: 'istio-proxy',
              image: 'ambit/ztunnel',
              command: program(options, 'ztunnel/src/main.ts', 'proxy', 'ztunnel'),
              env: [
                ...variables({
                  CA_ADDRESS: control,
                  XDS_ADDRESS: control,
                  RUST_LOG: 'info',
                  ISTIO_META_CLUSTER_ID: 'Kubernetes',
                  INPOD_ENABLED: 'true',
                  TERMINATION_GRACE_PERIOD_SECONDS: '30',
                  ...options.env?.ztunnel,
                }),
                field('POD_NAME', 'metadata.name'),
                field('POD_NAMESPACE', 'metadata.namespace'),
                field('NODE_NAME', 'spec.nodeName'),
                field('INSTANCE_IP', 'status.podIP'),
                field('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
                {
                  name: 'ZTUNNEL_CPU_LIMIT',
                  valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } },
                },
              ],
              ports: [{ containerPort: 15_020, name: 'ztunnel-stats', protocol: 'TCP' }],
              readinessProbe: { httpGet: { path: '/healthz/ready', port: 15_021 } },
              volumeMounts: [
                ...volumeMounts,
                TOKEN_MOUNT,
                { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio' },
                { name: 'tmp', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            ...volumes,
            TOKEN_VOLUME,
            { name: 'istiod-ca-cert', configMap: { name: 'istio-ca-root-cert' } },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  });
}
