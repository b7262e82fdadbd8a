/**
 * What ztunnel is told from outside, read once at start: environment variables, the mesh file, and what follows from them.
 *
 * Every problem is reported at once, in one ConfigError. Nothing here opens a socket or waits; files are asked for through
 * `ConfigFiles`.
 */
import { type LogConfig, logConfig } from '@ambit/core/config/log-config';
import { collectConfig, ConfigError, type Infer } from '@ambit/core/config/schema';
import { type Endpoint, parseHostPort } from '@ambit/core/ip';
import { formatLogFilter } from '@ambit/core/log';
import {
  type ControlPlaneConfig,
  controlPlaneConfig,
  withPrefix,
} from '@ambit/identity/control-plane-config';
import { tlsSettings } from '@ambit/identity/tls-config';
import type { TlsSettings } from '@ambit/identity/tls-context';
import { mergedProxyConfig, type ProxyConfig } from './config/proxy-config.ts';
import { variables, type WorkloadInfo } from './config/variables.ts';
import { workerThreadCount } from './config/worker-threads.ts';

export const MESH_FILE = './etc/istio/config/mesh';
const DEFAULT_TERMINATION_MS = 5_000;
const DEFAULT_SHARED_MARK = 1337;

export const PORTS = {
  admin: 15_000,
  outbound: 15_001,
  inboundPlaintext: 15_006,
  inbound: 15_008,
  stats: 15_020,
  readiness: 15_021,
  dns: 15_053,
  socks5: 15_080,
} as const;

/** What the configuration looks at besides the environment. */
export interface ConfigFiles {
  exists(path: string): boolean;
  /** `undefined` if there is none; throws if it cannot be read. */
  read(path: string): string | undefined;
  readonly machineCpus: number;
}

/** Loopback, in both families, or one address. */
export type ListenAddress =
  | { readonly kind: 'localhost'; readonly port: number }
  | ({ readonly kind: 'ip' } & Endpoint);

export interface Config extends Infer<typeof variables>, ControlPlaneConfig {
  readonly clusterId: string;
  readonly dns: boolean;
  readonly dnsAddress: ListenAddress;
  readonly adminPort: number;
  readonly statsPort: number;
  readonly localSource: { readonly kind: 'file' | 'inline'; readonly value: string } | undefined;
  /** The workload that this ztunnel itself is. */
  readonly self: WorkloadInfo | undefined;
  readonly packetMark: number | undefined;
  readonly terminationDeadlineMs: number;
  readonly workers: number;
  /** Node metadata that is text: ProxyConfig's and ISTIO_META_ variables. */
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** Node metadata of ISTIO_METAJSON_ variables. */
  readonly jsonMetadata: Readonly<Record<string, unknown>>;
  readonly log: LogConfig;
  readonly tls: TlsSettings;
  readonly illegalPorts: readonly number[];
  /** What was wrong, but not so wrong that it stops the start. */
  readonly warnings: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws {@link ConfigError} naming everything that is wrong. */
export function configFrom(env: Environment, files: ConfigFiles): Config {
  const problems: string[] = [];
  const warnings: string[] = [];
  const values = collectConfig(variables, env, problems);
  if (!values) throw new ConfigError(problems);
  const meshFile = attempt(problems, `cannot read ${MESH_FILE}`, () => files.read(MESH_FILE));
  const proxy = mergedProxyConfig(meshFile, values.proxyConfig);
  problems.push(...proxy.problems);
  const proxyMetadata = textMetadata(proxy.config, env);
  const jsonMetadata = parsedMetadata(env, warnings);
  const dnsCapture = values.metaDnsCapture ?? proxyMetadata['DNS_CAPTURE'];
  const dns = dnsCapture === undefined || dnsCapture.toLowerCase() === 'true';
  const { discoveryAddress } = proxy.config;
  const metadata = { ...proxyMetadata, ...jsonMetadata };
  const plane = controlPlaneConfig(values, env, files, { discoveryAddress, metadata }, problems);
  const log = logConfig(values, problems);
  problems.push(...contradictions(values, dns));
  const config: Config = {
    ...values,
    ...plane,
    dns,
    dnsAddress: listenAddress(problems, values.metaDnsProxyAddress ?? proxyMetadata['DNS_PROXY_ADDR']),
    adminPort: proxy.config.proxyAdminPort ?? PORTS.admin,
    statsPort: proxy.config.statsPort ?? PORTS.stats,
    localSource: localSource(values),
    self: selfWorkload(values),
    packetMark: values.packetMark ?? (values.mode === 'shared' ? DEFAULT_SHARED_MARK : undefined),
    terminationDeadlineMs: terminationDeadline(values),
    workers: workerThreadCount({
      ...values,
      concurrency: proxy.config.concurrency,
      machineCpus: files.machineCpus,
    }),
    proxyMetadata,
    jsonMetadata,
    log,
    tls: tlsSettings(values),
    illegalPorts: [
      PORTS.inbound,
      PORTS.inboundPlaintext,
      PORTS.outbound,
      ...(values.socks5 ? [PORTS.socks5] : []),
    ],
    warnings,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

type Values = Infer<typeof variables>;

function contradictions(values: Values, dns: boolean): readonly string[] {
  const { mode, workloadInfo, proxyEnabled, onDemand, localMesh, localMeshPath } = values;
  return [
    ...(mode === 'dedicated' && !workloadInfo
      ? ['PROXY_WORKLOAD_INFO must be set with PROXY_MODE=dedicated']
      : []),
    ...(!proxyEnabled && !dns ? ['ztunnel run without any servers enabled'] : []),
    ...(onDemand && dns ? ['XDS_ON_DEMAND needs ISTIO_META_DNS_CAPTURE=false'] : []),
    ...(localMesh !== undefined && localMeshPath !== undefined
      ? ['only one of LOCAL_XDS_PATH and LOCAL_XDS may be set']
      : []),
  ];
}

function attempt<T>(problems: string[], what: string, run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** ProxyConfig's metadata without its prefix, then every ISTIO_META_ variable, which wins. */
function textMetadata(proxy: ProxyConfig, env: Environment): Readonly<Record<string, string>> {
  const entries = Object.entries(proxy.proxyMetadata).map(([key, value]) => [
    key.replace(/^ISTIO_META_/, ''),
    value,
  ]);
  return Object.fromEntries([...entries, ...withPrefix(env, 'ISTIO_META_')]) as Record<string, string>;
}

function parsedMetadata(env: Environment, warnings: string[]): Readonly<Record<string, unknown>> {
  const entries = withPrefix(env, 'ISTIO_METAJSON_').flatMap(([name, value]) => {
    try {
      return [[name, JSON.parse(value) as unknown] as const];
    } catch {
      warnings.push(`ISTIO_METAJSON_${name} is not JSON and is left out`);
      return [];
    }
  });
  return Object.fromEntries(entries);
}

function localSource({ localMesh, localMeshPath }: Values): Config['localSource'] {
  if (localMeshPath !== undefined) return { kind: 'file', value: localMeshPath };
  return localMesh === undefined ? undefined : { kind: 'inline', value: localMesh };
}

function selfWorkload({ mode, podName, podNamespace, serviceAccount }: Values): WorkloadInfo | undefined {
  if (mode !== 'shared' || !podName || !podNamespace || !serviceAccount) return undefined;
  return { name: podName, namespace: podNamespace, serviceAccount };
}

function terminationDeadline({ terminationDeadlineMs, terminationGraceSeconds: grace }: Values): number {
  if (terminationDeadlineMs !== undefined) return terminationDeadlineMs;
  if (grace === undefined) return DEFAULT_TERMINATION_MS;
  return (grace > 10 ? grace - 5 : Math.max(grace - 1, 1)) * 1_000;
}

function listenAddress(problems: string[], text: string | undefined): ListenAddress {
  const fallback: ListenAddress = { kind: 'localhost', port: PORTS.dns };
  if (text === undefined) return fallback;
  const localhost = /^localhost:([0-9]{1,5})$/.exec(text);
  const endpoint = parseHostPort(localhost ? `127.0.0.1:${localhost[1]}` : text);
  if (!endpoint) {
    problems.push(`failed to parse DNS_PROXY_ADDR: ${text}: want localhost:PORT or IP:PORT`);
    return fallback;
  }
  return localhost ? { kind: 'localhost', port: endpoint.port } : { kind: 'ip', ...endpoint };
}

export function logFilterText(config: Config): string {
  return formatLogFilter(config.log.filter);
}
