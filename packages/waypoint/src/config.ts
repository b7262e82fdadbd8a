/**
 * What a waypoint is told from outside, read once at start: environment variables, and what follows from them.
 *
 * Every problem is reported at once, in one ConfigError. Nothing here opens a socket or waits; files are asked for through
 * `ConfigFiles`.
 */
import { type LogConfig, logConfig } from '@ambit/core/config/log-config';
import { collectConfig, ConfigError, type Infer } from '@ambit/core/config/schema';
import { parseIp } from '@ambit/core/ip';
import { type ControlPlaneConfig, controlPlaneConfig } from '@ambit/identity/control-plane-config';
import { formatSpiffeId, parseSpiffeId } from '@ambit/identity/spiffe-id';
import { tlsSettings } from '@ambit/identity/tls-config';
import type { TlsSettings } from '@ambit/identity/tls-context';
import { type ServiceKey, serviceKey } from '@ambit/model/address';
import { variables } from './config/variables.ts';

/** What the configuration looks at besides the environment. */
export interface ConfigFiles {
  exists(path: string): boolean;
}

export interface Ports {
  readonly admin: number;
  readonly inbound: number;
  readonly stats: number;
  readonly readiness: number;
}

export const PORTS: Ports = { admin: 15_000, inbound: 15_008, stats: 15_020, readiness: 15_021 };

/** Who this process is. */
export interface Self {
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Canonical text. */
  readonly ip: string;
  readonly gatewayName: string;
  /** The SPIFFE ID that it proves. */
  readonly identity: string;
  /** Its own workload, as the control plane names it. */
  readonly workloadUid: string;
  /** Its own Service. */
  readonly service: ServiceKey;
}

export interface Config extends Infer<typeof variables>, ControlPlaneConfig {
  readonly clusterId: string;
  readonly self: Self;
  readonly log: LogConfig;
  readonly tls: TlsSettings;
  readonly ports: Ports;
  readonly drainMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws {@link ConfigError} naming everything that is wrong. */
export function configFrom(env: Environment, files: ConfigFiles): Config {
  const problems: string[] = [];
  const values = collectConfig(variables, env, problems);
  if (!values) throw new ConfigError(problems);
  const plane = controlPlaneConfig(values, env, files, {}, problems);
  const config: Config = {
    ...values,
    ...plane,
    self: selfOf(values, plane.clusterId, problems),
    log: logConfig(values, problems),
    tls: tlsSettings(values),
    ports: PORTS,
    drainMs: values.drainSeconds * 1_000,
  };
  if (plane.xds === undefined)
    problems.push('XDS_ADDRESS must be set: a waypoint has no other configuration');
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

const REQUIRED = {
  podName: 'POD_NAME',
  podNamespace: 'POD_NAMESPACE',
  serviceAccount: 'SERVICE_ACCOUNT',
  gatewayName: 'GATEWAY_NAME',
  instanceIp: 'INSTANCE_IP',
} as const;

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const A_NAME = 'a name as Kubernetes has them';

/** A waypoint that does not know who it is would serve nobody, or whom it should not: it does not start. */
function selfOf(values: Infer<typeof variables>, clusterId: string, problems: string[]): Self {
  const wrong = (env: string, value: string, want: string) =>
    problems.push(`invalid env var ${env}=${value}: want ${want}`);
  for (const [key, env] of Object.entries(REQUIRED)) {
    const value = values[key as keyof typeof REQUIRED];
    if (value === undefined || value === '') problems.push(`${env} must be set`);
    else if (key !== 'instanceIp' && !NAME.test(value)) wrong(env, value, A_NAME);
  }
  const { workloadName, clusterDomain, trustDomain } = values;
  if (workloadName !== undefined && !NAME.test(workloadName))
    wrong('ISTIO_META_WORKLOAD_NAME', workloadName, A_NAME);
  if (!NAME.test(clusterDomain)) wrong('CLUSTER_DOMAIN', clusterDomain, 'a DNS name');
  if (!parseSpiffeId(formatSpiffeId({ trustDomain, namespace: 'n', serviceAccount: 's' })))
    wrong('TRUST_DOMAIN', trustDomain, 'a trust domain of SPIFFE');
  const { podName = '', podNamespace: namespace = '', serviceAccount = '', gatewayName = '' } = values;
  const ip = parseIp(values.instanceIp ?? '');
  if (ip === undefined && values.instanceIp) wrong('INSTANCE_IP', values.instanceIp, 'an IP address');
  return {
    podName,
    namespace,
    serviceAccount,
    ip: ip ?? '',
    gatewayName,
    identity: formatSpiffeId({ trustDomain, namespace, serviceAccount }),
    workloadUid: `${clusterId}//Pod/${namespace}/${podName}`,
    service: serviceKey(namespace, `${workloadName ?? gatewayName}.${namespace}.svc.${clusterDomain}`),
  };
}
