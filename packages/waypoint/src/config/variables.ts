/**
 * Every environment variable of a waypoint, with Istio's names wherever Istio has one; those of our own begin with `AMBIT_`.
 *
 * The control plane's deployment of a waypoint sets the first group from the pod; operators change the rest.
 */
import { logVariables } from '@ambit/core/config/log-config';
import { durationMs, flag, integer, text } from '@ambit/core/config/schema';
import { tunnelVariables } from '@ambit/hbone/tunnel-config';
import { controlPlaneVariables } from '@ambit/identity/control-plane-config';
import { tlsVariables } from '@ambit/identity/tls-config';
import * as limits from '../limits.ts';

const U31 = 2_147_483_647;

export const variables = {
  podName: text({ env: 'POD_NAME', default: undefined, doc: 'This pod.' }),
  podNamespace: text({
    env: 'POD_NAMESPACE',
    default: undefined,
    doc: "This pod's namespace, which is the Gateway's.",
  }),
  instanceIp: text({ env: 'INSTANCE_IP', default: undefined, doc: "This pod's address." }),
  serviceAccount: text({
    env: 'SERVICE_ACCOUNT',
    default: undefined,
    doc: 'Whose certificate this waypoint shows.',
  }),
  nodeName: text({ env: 'NODE_NAME', default: '', doc: 'The node of this pod.' }),
  gatewayName: text({
    env: 'GATEWAY_NAME',
    default: undefined,
    doc: 'The Gateway that this pod is an instance of.',
  }),
  workloadName: text({
    env: 'ISTIO_META_WORKLOAD_NAME',
    default: undefined,
    doc: "Name of its Deployment and its Service. Default: the Gateway's.",
  }),
  tellsClientIdentity: flag({
    env: 'AMBIT_XFCC_CLIENT_IDENTITY',
    default: false,
    doc: 'Tell applications who the client is in `x-forwarded-client-cert`. Set by annotation `ambient.istio.io/xfcc-include-client-identity` of the Gateway or its class.',
  }),
  network: text({ env: 'NETWORK', default: '', doc: 'The network that this pod is in.' }),
  trustDomain: text({
    env: 'TRUST_DOMAIN',
    default: 'cluster.local',
    doc: 'Of this waypoint, and of its clients; aliases come from the control plane.',
  }),
  clusterDomain: text({ env: 'CLUSTER_DOMAIN', default: 'cluster.local', doc: 'DNS suffix of the cluster.' }),
  ...controlPlaneVariables,
  ...tlsVariables,
  ...tunnelVariables,
  ...logVariables,
  ipv6: flag({ env: 'IPV6_ENABLED', default: true, doc: 'false: listeners are IPv4 only.' }),
  istioVersion: text({
    env: 'ISTIO_META_ISTIO_VERSION',
    default: undefined,
    doc: 'Shown in metrics and dumps.',
  }),
  drainSeconds: integer({
    env: 'TERMINATION_DRAIN_DURATION_SECONDS',
    default: limits.DRAIN_SECONDS,
    max: 86_400,
    doc: 'How long requests and connections may outlive SIGTERM. Less than the grace period of the pod.',
  }),
  maxRequests: integer({
    env: 'AMBIT_MAX_REQUESTS',
    default: limits.REQUESTS_IN_FLIGHT,
    min: 1,
    max: U31,
    doc: 'Requests under way at a time; further ones get 503 (overloaded).',
  }),
  maxConnections: integer({
    env: 'AMBIT_MAX_CONNECTIONS',
    default: limits.CLIENT_CONNECTIONS,
    min: 1,
    max: U31,
    doc: 'Connections of clients (streams of tunnels) at a time; further ones are refused.',
  }),
  maxHeldBytes: integer({
    env: 'AMBIT_MAX_HELD_BYTES',
    default: limits.HELD_BYTES,
    min: 1_048_576,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Bytes held for peers that do not read; beyond it whoever holds most is cut.',
  }),
  streamIdleMs: durationMs({
    env: 'AMBIT_STREAM_IDLE_TIMEOUT',
    default: limits.STREAM_IDLE_MS,
    doc: 'A request on which nothing moves for so long is ended. 0: never.',
  }),
  retryBodyBytes: integer({
    env: 'AMBIT_RETRY_BODY_BYTES',
    default: limits.RETRY_BODY_BYTES,
    max: 16_777_216,
    doc: 'Of a request body, what is kept so that the request can be tried again; a longer one is tried once.',
  }),
};
