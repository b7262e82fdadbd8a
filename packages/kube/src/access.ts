/**
 * How to reach an API server and who to be there: from a kubeconfig, or from a pod's service account.
 *
 * Credentials are read again and again, since tokens in files are rotated. The kubeconfig loader of
 * `@kubernetes/client-node` (exec plugins, OIDC, proxies' certificates) is loaded only when there is a kubeconfig: it
 * costs 80 MB, which a pod of ours need not pay.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import { KubeConfigError, NoKubeConfigError } from './errors.ts';
import { CREDENTIALS_REUSE_MS } from './limits.ts';

type Pem = string | Buffer;

export interface TlsMaterial {
  readonly ca?: Pem;
  readonly cert?: Pem;
  readonly key?: Pem;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Access {
  readonly server: URL;
  readonly tls: TlsMaterial;
  /** What identifies the caller: `authorization`, impersonation. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where a command that names no namespace works. */
  readonly namespace: string;
}

export interface AccessOptions {
  readonly kubeconfigPath?: string | undefined;
  /** The kubeconfig's context to use; default its current one. */
  readonly context?: string | undefined;
  /** Use the pod's service account, whatever else there is. */
  readonly inCluster?: boolean;
  /** What to find the rest by: `KUBECONFIG`, `KUBERNETES_SERVICE_HOST` and `_PORT`, `HOME`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where a pod's token and CA are mounted. Default: Kubernetes' place. */
  readonly serviceAccountDirectory?: string;
}

const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Reads the access again when it is older than a few seconds; concurrent callers share one reading. */
export class AccessSource {
  readonly #read: () => Promise<Access>;
  readonly #clock: Clock;
  #last: { readonly access: Promise<Access>; readonly atMs: number } | undefined;

  constructor(read: () => Promise<Access>, clock: Clock) {
    this.#read = read;
    this.#clock = clock;
  }

  current(): Promise<Access> {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#last || nowMs - this.#last.atMs > CREDENTIALS_REUSE_MS) {
      const access = this.#read();
      this.#last = { access, atMs: nowMs };
      access.catch(() => this.forget());
    }
    return this.#last.access;
  }

  /** The server did not accept these credentials: the next request reads them afresh. */
  forget(): void {
    this.#last = undefined;
  }
}

/**
 * The way in, by the first of: what `options` names, `KUBECONFIG` if that file exists (Istio's chart names one that may
 * not), a pod's service account, `~/.kube/config`.
 *
 * @throws {@link KubeConfigError} if there is none, or it cannot be read.
 */
export async function accessSource(options: AccessOptions, clock: Clock): Promise<AccessSource> {
  const env = options.env ?? {};
  const named = options.inCluster ? undefined : env['KUBECONFIG']?.split(':')[0];
  const inPod = env['KUBERNETES_SERVICE_HOST'] !== undefined;
  const given = options.kubeconfigPath ?? (named && inPod && !existsSync(named) ? undefined : named);
  const home = env['HOME'];
  if (!given && (options.inCluster || inPod)) {
    const source = new AccessSource(() => inCluster(options, env), clock);
    await source.current();
    return source;
  }
  const path = given || (home && join(home, '.kube', 'config'));
  if (!path) throw new NoKubeConfigError(undefined);
  const read = await kubeconfigReader(path, options.context);
  const source = new AccessSource(read, clock);
  await source.current();
  return source;
}

async function inCluster(options: AccessOptions, env: NonNullable<AccessOptions['env']>): Promise<Access> {
  const directory = options.serviceAccountDirectory ?? SERVICE_ACCOUNT_DIRECTORY;
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (!host) throw new KubeConfigError('KUBERNETES_SERVICE_HOST is not set: not running in a pod');
  const port = env['KUBERNETES_SERVICE_PORT'] || '443';
  const [token, ca, namespace] = await Promise.all([
    readText(join(directory, 'token')),
    readText(join(directory, 'ca.crt')),
    readText(join(directory, 'namespace')).catch(() => 'default'),
  ]);
  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    tls: { ca },
    headers: { authorization: `Bearer ${token.trim()}` },
    namespace: namespace.trim(),
  };
}

async function kubeconfigReader(path: string, context: string | undefined): Promise<() => Promise<Access>> {
  if (!existsSync(path)) throw new NoKubeConfigError(path);
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (error) {
    throw new KubeConfigError(`kubeconfig ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (context !== undefined) config.setCurrentContext(context);
  const cluster = config.getCurrentCluster();
  const named = config.getContextObject(config.getCurrentContext());
  if (!cluster || !named) {
    throw new KubeConfigError(
      `kubeconfig ${path} has no context ${config.getCurrentContext() || 'selected'}`,
    );
  }
  const server = URL.canParse(cluster.server) ? new URL(cluster.server) : undefined;
  if (!server) throw new KubeConfigError(`kubeconfig ${path}: server "${cluster.server}" is not a URL`);
  if (cluster.proxyUrl) throw new KubeConfigError(`kubeconfig ${path}: proxy-url is not supported`);
  const namespace = named.namespace || 'default';
  return async () => {
    if (server.protocol === 'http:') {
      const token = config.getCurrentUser()?.token;
      return { server, tls: {}, headers: token ? { authorization: `Bearer ${token}` } : {}, namespace };
    }
    return { server, namespace, ...(await credentials(config, path)) };
  };
}

interface HttpsOptions extends TlsMaterial {
  headers?: Record<string, string>;
  auth?: string;
}

async function credentials(
  config: { applyToHTTPSOptions(options: object): Promise<void> },
  path: string,
): Promise<Pick<Access, 'tls' | 'headers'>> {
  const options: HttpsOptions = { headers: {} };
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    throw new KubeConfigError(`kubeconfig ${path}: no credentials: ${messageOf(error)}`, { cause: error });
  }
  const { ca, cert, key, servername, rejectUnauthorized, auth } = options;
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
  if (auth) headers.push(['authorization', `Basic ${Buffer.from(auth).toString('base64')}`]);
  return {
    tls: {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(servername && { servername }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
    },
    headers: Object.fromEntries(headers) as Record<string, string>,
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new KubeConfigError(`service account: ${messageOf(error)}`, { cause: error });
  }
}
