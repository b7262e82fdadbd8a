/**
 * How a proxy is told where its control plane and its CA are, whom they must be vouched for by, and what it shows them.
 *
 * The same variables for every proxy, with Istio's names. Nothing here opens a file to read it: what exists is asked for.
 */
import { isLoopback } from '@ambit/core/ip';
import { durationMs, flag, type Infer, text } from '@ambit/core/config/schema';
import { isSecretName } from '@ambit/core/secret-names';
import type { RootSource, TokenSource } from './control-plane-tls.ts';

const DEFAULT_TOKEN_FILE = './var/run/secrets/tokens/istio-token';

export const controlPlaneVariables = {
  metaClusterId: text({ env: 'ISTIO_META_CLUSTER_ID', default: undefined, doc: 'Wins over CLUSTER_ID.' }),
  clusterId: text({ env: 'CLUSTER_ID', default: 'Kubernetes', doc: 'The cluster that this proxy is in.' }),
  xdsAddress: text({
    env: 'XDS_ADDRESS',
    default: undefined,
    doc: 'The control plane, as URI or host:port. Empty: none. http:// is for loopback, or for whoever sends no token, and no header or metadata that is one. Default: istiod.istio-system.svc:15012 on Kubernetes.',
  }),
  caAddress: text({
    env: 'CA_ADDRESS',
    default: undefined,
    doc: 'The certificate authority, as URI or host:port. Default: as XDS_ADDRESS.',
  }),
  kubernetesServiceHost: text({
    env: 'KUBERNETES_SERVICE_HOST',
    default: undefined,
    doc: 'Its presence decides the default of XDS_ADDRESS and CA_ADDRESS.',
  }),
  xdsRootCa: text({
    env: 'XDS_ROOT_CA',
    default: './var/run/secrets/istio/root-cert.pem',
    doc: 'Who vouches for the control plane: a file, SYSTEM, or PEM text.',
  }),
  caRootCa: text({
    env: 'CA_ROOT_CA',
    default: './var/run/secrets/istio/root-cert.pem',
    doc: 'Who vouches for the certificate authority: a file, SYSTEM, or PEM text.',
  }),
  altXdsHostname: text({
    env: 'ALT_XDS_HOSTNAME',
    default: undefined,
    doc: 'Another name that the control plane may prove.',
  }),
  altCaHostname: text({
    env: 'ALT_CA_HOSTNAME',
    default: undefined,
    doc: 'Another name that the certificate authority may prove.',
  }),
  fakeCa: flag({
    env: 'FAKE_CA',
    default: false,
    doc: 'INSECURE: certificates from a key that everybody knows, for tests and trials.',
  }),
  secretTtlMs: durationMs({
    env: 'SECRET_TTL',
    default: 86_400_000,
    doc: 'How long the certificates that are asked for live.',
  }),
  authToken: text({
    env: 'AUTH_TOKEN',
    default: undefined,
    secret: true,
    doc: 'Token for control plane and CA: a file, read for each request, or the token. Empty: none. Default ./var/run/secrets/tokens/istio-token if that exists.',
  }),
};

/** Where a server is: `https` unless the address says otherwise. */
export interface ServerAddress {
  readonly uri: string;
  /** `host:port`. */
  readonly authority: string;
  readonly tls: boolean;
}

export type Headers = readonly (readonly [name: string, value: string])[];

/** What follows from {@link controlPlaneVariables}. */
export interface ControlPlaneConfig {
  readonly clusterId: string;
  readonly xds: ServerAddress | undefined;
  readonly xdsRoot: RootSource;
  readonly xdsHeaders: Headers;
  readonly ca: ServerAddress | undefined;
  readonly caRoot: RootSource;
  readonly caHeaders: Headers;
  readonly token: TokenSource;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What a proxy knows besides the variables. */
export interface ControlPlaneAbout {
  /** Of a ProxyConfig: the control plane's address unless the variable says another. */
  readonly discoveryAddress?: string | undefined;
  /** What users have the control plane told of this proxy, by name. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/**
 * @param problems - Gets, in words, what is wrong; then the configuration is not to be used.
 */
export function controlPlaneConfig(
  values: Infer<typeof controlPlaneVariables>,
  env: Environment,
  files: { exists(path: string): boolean },
  { discoveryAddress, metadata = {} }: ControlPlaneAbout,
  problems: string[],
): ControlPlaneConfig {
  const fallback =
    values.kubernetesServiceHost === undefined ? 'localhost:15012' : 'istiod.istio-system.svc:15012';
  const token = tokenSource(values.authToken, files);
  const xdsHeaders = headers(problems, env, 'XDS_HEADER_');
  const told = values.xdsAddress === undefined && discoveryAddress !== undefined;
  const xdsVariable = told ? 'discoveryAddress' : 'XDS_ADDRESS';
  const xds = serverAddress(problems, xdsVariable, values.xdsAddress ?? discoveryAddress ?? fallback);
  if (xds && isInClear(xds)) {
    const header = xdsHeaders.find(([name]) => isSecretName(name))?.[0];
    const uri = `${xdsVariable}=${xds.uri}`;
    if (token.kind !== 'none')
      problems.push(`${uri}: want https, since a token goes there; without one, AUTH_TOKEN is empty`);
    else if (header !== undefined) problems.push(`${uri}: want https, since a header ${header} goes there`);
    const secret = namesIn(metadata).find(isSecretName);
    if (secret !== undefined) problems.push(`${uri}: want https, since metadata ${secret} goes there`);
  }
  const ca = serverAddress(problems, 'CA_ADDRESS', values.caAddress ?? fallback);
  if (ca && !ca.tls && !values.fakeCa)
    problems.push(`CA_ADDRESS=${ca.uri}: want https, since a token goes there`);
  if (ca === undefined && !values.fakeCa) problems.push('CA_ADDRESS must be set to use a CA');
  return {
    clusterId: values.metaClusterId ?? values.clusterId,
    xds,
    xdsRoot: rootSource(values.xdsRootCa, files),
    xdsHeaders,
    ca,
    caRoot: rootSource(values.caRootCa, files),
    caHeaders: headers(problems, env, 'CA_HEADER_'),
    token,
  };
}

/** Every variable whose name begins with `prefix`, without it. */
export function withPrefix(env: Environment, prefix: string): readonly (readonly [string, string])[] {
  return Object.entries(env).flatMap(([name, value]) =>
    name.startsWith(prefix) && name.length > prefix.length && value !== undefined
      ? [[name.slice(prefix.length), value] as const]
      : [],
  );
}

/** Names of fields, and of fields of fields. */
function* namesIn(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    yield name;
    yield* namesIn(inner);
  }
}

/** gRPC metadata: names in lower case, none that gRPC would take for binary, values of printable ASCII. */
function headers(problems: string[], env: Environment, prefix: string): Headers {
  return withPrefix(env, prefix).flatMap(([name, value]) => {
    const key = name.toLowerCase();
    const good = /^[0-9a-z_.-]+$/.test(key) && !key.endsWith('-bin') && /^[\x20-\x7e]*$/.test(value);
    if (!good) problems.push(`failed to parse header key/value: ${prefix}${name}`);
    return good ? [[key, value] as const] : [];
  });
}

function serverAddress(problems: string[], variable: string, address: string): ServerAddress | undefined {
  if (address === '') return undefined;
  const uri = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `https://${address}`;
  const url = URL.parse(uri);
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    problems.push(`invalid env var ${variable}=${address}: invalid uri`);
    return undefined;
  }
  const tls = url.protocol === 'https:';
  return { uri, authority: `${url.hostname}:${url.port || (tls ? 443 : 80)}`, tls };
}

/** What is sent there, others may read. */
function isInClear({ tls, authority }: ServerAddress): boolean {
  const host = authority.replace(/:[0-9]+$/, '').replace(/^\[(.*)\]$/, '$1');
  return !tls && host !== 'localhost' && !isLoopback(host);
}

/** A file that does not exist yet may still come: only what looks like PEM is taken for PEM. */
function rootSource(value: string, files: { exists(path: string): boolean }): RootSource {
  if (value === 'SYSTEM' && !files.exists(value)) return { kind: 'system' };
  return value.includes('-----BEGIN ') ? { kind: 'pem', pem: value } : { kind: 'file', path: value };
}

function tokenSource(value: string | undefined, files: { exists(path: string): boolean }): TokenSource {
  if (value === undefined) {
    return files.exists(DEFAULT_TOKEN_FILE) ? { kind: 'file', path: DEFAULT_TOKEN_FILE } : { kind: 'none' };
  }
  if (value === '') return { kind: 'none' };
  return files.exists(value) ? { kind: 'file', path: value } : { kind: 'literal', token: value };
}
