/**
 * The objects of a waypoint from its Gateway, before anybody's overlay: names, labels and ports are Istio's, since tools
 * and other control planes look for them. Pure.
 *
 * How many pods there are is the autoscaler's to say, so the Deployment does not: see overlay.ts for one without it.
 */
import type { Gateway, GatewayClass } from '@ambit/kube/resources/gateway';
import { credentialMounts, credentialsOf, credentialVolumes } from './credentials.ts';
import { STATUS_PORT, servicePorts } from './ports.ts';
import {
  GATEWAY_NAME_LABEL,
  MANAGED_BY_US,
  MANAGED_LABEL,
  type Manifest,
  type WaypointObjects,
} from './manifest.ts';
import { revisionName } from './management.ts';
import {
  deploymentName,
  infrastructureAnnotations,
  infrastructureLabels,
  serviceAccountName,
} from './names.ts';
import {
  AUTOSCALE_CPU,
  AUTOSCALE_MAX,
  AUTOSCALE_MIN,
  GRACE_SECONDS,
  type PodSettings,
} from './pod-settings.ts';

export interface RenderSettings {
  /** A whole reference. */
  readonly image: string;
  readonly pod: PodSettings;
  /** Of this control plane; empty is the default. */
  readonly revision: string;
  readonly clusterId: string;
  readonly trustDomain: string;
  /** `cluster.local` */
  readonly domain: string;
  /** `https://istiod.istio-system.svc:15012` */
  readonly controlPlane: string;
  /** The ConfigMap of each namespace that has the mesh's roots. */
  readonly rootConfigMap: string;
  /** Whom the pods' tokens are for. */
  readonly audience: string;
}

/** What is said of one Gateway outside of it. */
export interface RenderedFor {
  /** Of its class. */
  readonly gatewayClass: GatewayClass | undefined;
  /** Empty is a network too. */
  readonly network: string;
}

const GATEWAY_CLASS_LABEL = 'gateway.networking.k8s.io/gateway-class-name';
const SERVICE_TYPE_ANNOTATION = 'networking.istio.io/service-type';
const CLIENT_IDENTITY_ANNOTATION = 'ambient.istio.io/xfcc-include-client-identity';
const METRICS_PORT = 15_020;
/** Of the grace period, what is left after draining, to end in order. */
const AFTER_DRAIN_SECONDS = 5;
const TOKEN_SECONDS = 43_200;

type Texts = Readonly<Record<string, string>>;

export function renderWaypoint(
  gateway: Gateway,
  settings: RenderSettings,
  surroundings: RenderedFor,
): WaypointObjects {
  const labels = infrastructureLabels(gateway, surroundings.network);
  const annotations = infrastructureAnnotations(gateway);
  const of = { gateway, settings, surroundings, labels, annotations };
  return {
    serviceAccount: manifest(of, 'v1', 'ServiceAccount', serviceAccountName(gateway)),
    service: service(of),
    deployment: deployment(of),
    horizontalPodAutoscaler: autoscaler(of),
    podDisruptionBudget: disruptionBudget(of),
  };
}

interface Of {
  readonly gateway: Gateway;
  readonly settings: RenderSettings;
  readonly surroundings: RenderedFor;
  readonly labels: Texts;
  readonly annotations: Texts;
}

function manifest(
  { gateway, labels, annotations }: Of,
  apiVersion: string,
  kind: string,
  name: string,
  body: Pick<Manifest, 'spec'> = {},
): Manifest {
  const { namespace = '', name: owner, uid = '' } = gateway.metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      labels: { ...labels, [GATEWAY_NAME_LABEL]: owner, [MANAGED_LABEL]: MANAGED_BY_US },
      annotations,
      ownerReferences: [{ apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name: owner, uid }],
    },
    ...body,
  };
}

function selector({ gateway }: Of): Texts {
  return { [GATEWAY_NAME_LABEL]: gateway.metadata.name };
}

function service(of: Of): Manifest {
  const { gateway, annotations } = of;
  const type = gateway.metadata.annotations?.[SERVICE_TYPE_ANNOTATION] ?? 'ClusterIP';
  const address = gateway.spec?.addresses?.[0]?.value;
  // Prefers endpoints of the client's zone, then of its region.
  const more = { 'networking.istio.io/traffic-distribution': 'PreferClose' };
  return manifest(
    { ...of, annotations: { ...more, ...annotations } },
    'v1',
    'Service',
    deploymentName(gateway),
    {
      spec: {
        type,
        ipFamilyPolicy: 'PreferDualStack',
        ...(type === 'LoadBalancer' && address !== undefined && { loadBalancerIP: address }),
        ports: servicePorts(gateway.spec?.listeners ?? []),
        selector: selector(of),
      },
    },
  );
}

function deployment(of: Of): Manifest {
  const { gateway, labels, annotations, settings } = of;
  const name = deploymentName(gateway);
  const template = {
    metadata: {
      labels: {
        'sidecar.istio.io/inject': 'false',
        // It ends tunnels itself.
        'istio.io/dataplane-mode': 'none',
        'service.istio.io/canonical-name': name,
        'service.istio.io/canonical-revision': 'latest',
        ...labels,
        [GATEWAY_NAME_LABEL]: gateway.metadata.name,
        [GATEWAY_CLASS_LABEL]: gateway.spec?.gatewayClassName ?? '',
        [MANAGED_LABEL]: MANAGED_BY_US,
      },
      annotations: {
        ...annotations,
        'istio.io/rev': revisionName(settings.revision),
        'prometheus.io/path': '/stats/prometheus',
        'prometheus.io/port': String(METRICS_PORT),
        'prometheus.io/scrape': 'true',
      },
    },
    spec: podSpec(of),
  };
  return manifest(of, 'apps/v1', 'Deployment', name, {
    spec: {
      selector: { matchLabels: selector(of) },
      // The new one first: nobody goes without.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template,
    },
  });
}

function podSpec(of: Of): Readonly<Record<string, unknown>> {
  const { gateway, settings } = of;
  const { pod } = settings;
  const { tolerations = [], imagePullSecrets = [] } = pod;
  const isPlaced =
    (pod.topologySpreadConstraints ?? []).length > 0 || Object.keys(pod.affinity ?? {}).length > 0;
  const { affinity = {}, topologySpreadConstraints = [] } = isPlaced ? pod : preferOtherPlaces(of);
  return {
    serviceAccountName: serviceAccountName(gateway),
    // It asks the control plane alone: volume istio-token.
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: pod.terminationGracePeriodSeconds ?? GRACE_SECONDS,
    ...(imagePullSecrets.length > 0 && { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [container(of)],
    volumes: [
      {
        name: 'istio-token',
        projected: {
          sources: [
            {
              serviceAccountToken: {
                audience: settings.audience,
                expirationSeconds: TOKEN_SECONDS,
                path: 'istio-token',
              },
            },
          ],
        },
      },
      { name: 'istiod-ca-cert', configMap: { name: settings.rootConfigMap } },
      ...credentialVolumes(credentialsOf(gateway).names),
    ],
    nodeSelector: { 'kubernetes.io/os': 'linux', ...pod.nodeSelector },
    ...(tolerations.length > 0 && { tolerations }),
    ...(Object.keys(affinity).length > 0 && { affinity }),
    ...(topologySpreadConstraints.length > 0 && { topologySpreadConstraints }),
  };
}

/**
 * One node, or one zone, takes not all replicas with it. Zones by affinity: where nodes have none, a second constraint
 * would switch off the first.
 */
function preferOtherPlaces(of: Of): Pick<PodSettings, 'affinity' | 'topologySpreadConstraints'> {
  const labelSelector = { matchLabels: selector(of) };
  const podAffinityTerm = { topologyKey: 'topology.kubernetes.io/zone', labelSelector };
  const constraint = {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector,
  };
  return {
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm }],
      },
    },
    topologySpreadConstraints: [constraint],
  };
}

function container(of: Of): Readonly<Record<string, unknown>> {
  const { image, pod } = of.settings;
  return {
    name: 'istio-proxy',
    image,
    ...(pod.imagePullPolicy && { imagePullPolicy: pod.imagePullPolicy }),
    args: ['proxy', 'waypoint'],
    env: environment(of),
    ports: [
      { name: 'metrics', containerPort: METRICS_PORT, protocol: 'TCP' },
      { name: 'status-port', containerPort: STATUS_PORT, protocol: 'TCP' },
    ],
    // Ready once it has a certificate and its configuration. There is no liveness probe: to wait for the control plane is
    // no reason to end.
    readinessProbe: {
      httpGet: { path: '/healthz/ready', port: STATUS_PORT },
      periodSeconds: 2,
      timeoutSeconds: 5,
    },
    ...(pod.resources && { resources: pod.resources }),
    securityContext: {
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      // Who vouches for the control plane.
      { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio', readOnly: true },
      { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
      ...credentialMounts(credentialsOf(of.gateway).names),
    ],
  };
}

/** What the proxy must know of itself; its reference is docs/reference/config/waypoint.md. */
function environment({ gateway, settings, surroundings }: Of): readonly object[] {
  const { pod, controlPlane } = settings;
  const grace = pod.terminationGracePeriodSeconds ?? GRACE_SECONDS;
  const texts: Readonly<Record<string, string | number | boolean>> = {
    CA_ADDRESS: controlPlane,
    XDS_ADDRESS: controlPlane,
    CLUSTER_ID: settings.clusterId,
    CLUSTER_DOMAIN: settings.domain,
    TRUST_DOMAIN: settings.trustDomain,
    NETWORK: surroundings.network,
    GATEWAY_NAME: gateway.metadata.name,
    // What its Service is called, also where that is not called as the Gateway is.
    ISTIO_META_WORKLOAD_NAME: deploymentName(gateway),
    RUST_LOG: pod.logLevel ?? 'info',
    LOG_FORMAT: pod.logAsJson ? 'json' : 'plain',
    TERMINATION_DRAIN_DURATION_SECONDS: String(Math.max(1, grace - AFTER_DRAIN_SECONDS)),
    ...(tellsClientIdentity(gateway, surroundings) && { AMBIT_XFCC_CLIENT_IDENTITY: true }),
    ...pod.env,
  };
  const fields: Texts = {
    POD_NAME: 'metadata.name',
    POD_NAMESPACE: 'metadata.namespace',
    INSTANCE_IP: 'status.podIP',
    SERVICE_ACCOUNT: 'spec.serviceAccountName',
    NODE_NAME: 'spec.nodeName',
  };
  return [
    ...Object.entries(fields)
      .filter(([name]) => !(name in texts))
      .map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { fieldPath } } })),
    ...Object.entries(texts).map(([name, value]) => ({ name, value: String(value) })),
  ];
}

/** What the Gateway says counts, and where it says nothing what its class does. */
function tellsClientIdentity({ metadata }: Gateway, { gatewayClass }: RenderedFor): boolean {
  const own = metadata.annotations?.[CLIENT_IDENTITY_ANNOTATION];
  return (own ?? gatewayClass?.metadata.annotations?.[CLIENT_IDENTITY_ANNOTATION]) === 'true';
}

function autoscaler(of: Of): Manifest {
  const name = deploymentName(of.gateway);
  const { autoscaleMin = AUTOSCALE_MIN, autoscaleMax, autoscaleCpu } = of.settings.pod;
  return manifest(of, 'autoscaling/v2', 'HorizontalPodAutoscaler', name, {
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      minReplicas: autoscaleMin,
      maxReplicas: autoscaleMax ?? Math.max(autoscaleMin, AUTOSCALE_MAX),
      metrics: [
        {
          type: 'Resource',
          resource: {
            name: 'cpu',
            target: { type: 'AverageValue', averageValue: autoscaleCpu ?? AUTOSCALE_CPU },
          },
        },
      ],
    },
  });
}

/** `minAvailable: 1` would keep a single replica on its node for ever. */
function disruptionBudget(of: Of): Manifest {
  return manifest(of, 'policy/v1', 'PodDisruptionBudget', deploymentName(of.gateway), {
    spec: { maxUnavailable: 1, selector: { matchLabels: selector(of) } },
  });
}
