/** The Kubernetes objects that suites make: the application in its shapes, Services, and policies. */
import type { KubeObject } from '@ambit/kube/resource';
import { PORTS } from '../../echo/ports.ts';

export const MODE_LABEL = 'istio.io/dataplane-mode';
export const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection';

export interface Image {
  readonly hub: string;
  readonly tag: string;
}

export interface EchoOptions {
  readonly name: string;
  readonly namespace: string;
  /** In place of the application's: the name of another image of the suites. */
  readonly image?: string;
  /** Where it must run; anywhere if absent. */
  readonly node?: string | undefined;
  /** Besides `app: NAME`. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly hostNetwork?: boolean;
  readonly restartPolicy?: 'Always' | 'Never' | 'OnFailure';
  readonly graceSeconds?: number;
  /** Instead of an HTTP probe of `/ready`. */
  readonly probes?: Readonly<Record<string, unknown>>;
}

const READY = { httpGet: { path: '/ready', port: PORTS.http }, periodSeconds: 1, timeoutSeconds: 3 };
const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
};
const RUN_AS = { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } };

const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

function podTemplate(
  image: Image,
  options: EchoOptions,
): { readonly metadata: object; readonly spec: object } {
  const { name, labels, annotations, env = {}, args, node } = options;
  const container = {
    name: 'echo',
    image: `${image.hub}/${options.image ?? 'echo'}:${image.tag}`,
    imagePullPolicy: 'IfNotPresent',
    ...(args && { args }),
    env: [
      field('POD_NAME', 'metadata.name'),
      field('POD_NAMESPACE', 'metadata.namespace'),
      field('NODE_NAME', 'spec.nodeName'),
      { name: 'UV_THREADPOOL_SIZE', value: '16' },
      ...Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
    ],
    ...(args ? {} : (options.probes ?? { readinessProbe: READY })),
    securityContext: CONTAINER_SECURITY,
  };
  return {
    metadata: { labels: { app: name, ...labels }, ...(annotations && { annotations }) },
    spec: {
      containers: [container],
      securityContext: RUN_AS,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: options.graceSeconds ?? 5,
      ...(options.serviceAccount !== undefined && { serviceAccountName: options.serviceAccount }),
      ...(options.hostNetwork === true && { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }),
      ...(options.restartPolicy !== undefined && { restartPolicy: options.restartPolicy }),
      ...(node !== undefined && { affinity: onNode(node) }),
    },
  };
}

function onNode(node: string): object {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [node] }];
  return {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
    },
  };
}

export function echoPod(image: Image, options: EchoOptions): KubeObject {
  const { metadata, spec } = podTemplate(image, options);
  const { name, namespace } = options;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name, namespace }, ...{ spec } };
}

export function echoJob(image: Image, options: EchoOptions): KubeObject {
  const template = podTemplate(image, { restartPolicy: 'Never', ...options });
  const spec = { backoffLimit: 0, template };
  return { apiVersion: 'batch/v1', kind: 'Job', metadata: metadataOf(options), ...{ spec } };
}

/** A Deployment, or with `serviceName` a StatefulSet of that headless Service. */
export function echoSet(
  image: Image,
  options: EchoOptions & { readonly replicas: number; readonly serviceName?: string },
): KubeObject {
  const { name, replicas, serviceName } = options;
  const shared = {
    replicas,
    selector: { matchLabels: { app: name } },
    template: podTemplate(image, options),
  };
  const metadata = metadataOf(options);
  if (serviceName === undefined)
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      ...{ spec: { ...shared, strategy: { rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } } } },
    };
  const spec = { ...shared, serviceName, podManagementPolicy: 'Parallel' };
  return { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata, ...{ spec } };
}

const metadataOf = ({ name, namespace }: EchoOptions) => ({ name, namespace });

/** Every port of the application, under its own number. */
const SERVICE_PORTS = (['http', 'http2', 'grpc', 'tcp', 'greeting', 'loopback'] as const).map((name) => ({
  name: name === 'greeting' || name === 'loopback' ? `tcp-${name}` : name,
  port: PORTS[name],
  targetPort: PORTS[name],
}));

export function service(
  namespace: string,
  name: string,
  over: Readonly<Record<string, unknown>> = {},
): KubeObject {
  const spec = { selector: { app: name }, ports: SERVICE_PORTS, ...over };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, ...{ spec } };
}

export function serviceAccount(namespace: string, name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
}

export type MtlsMode = 'STRICT' | 'PERMISSIVE' | 'DISABLE';

export interface PeerAuthenticationOptions {
  readonly mode: MtlsMode;
  /** The pods labelled `app: THIS`; all of the namespace if absent. */
  readonly app?: string;
  readonly ports?: Readonly<Record<number, MtlsMode>>;
}

export function peerAuthentication(
  namespace: string,
  name: string,
  { mode, app, ports }: PeerAuthenticationOptions,
): KubeObject {
  const portLevelMtls =
    ports && Object.fromEntries(Object.entries(ports).map(([port, is]) => [port, { mode: is }]));
  const spec = {
    ...(app !== undefined && { selector: { matchLabels: { app } } }),
    mtls: { mode },
    ...(portLevelMtls && { portLevelMtls }),
  };
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name, namespace },
    ...{ spec },
  };
}

export interface AuthorizationPolicyOptions {
  readonly action?: 'ALLOW' | 'DENY';
  readonly app?: string;
  readonly rules?: readonly object[];
}

export function authorizationPolicy(
  namespace: string,
  name: string,
  { action = 'ALLOW', app, rules }: AuthorizationPolicyOptions,
): KubeObject {
  const spec = {
    action,
    ...(app !== undefined && { selector: { matchLabels: { app } } }),
    ...(rules && { rules }),
  };
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace },
    ...{ spec },
  };
}
