/**
 * READ FIRST: the embedded API, wired from top to bottom. A small Kubernetes-compatible API for one machine, for trying,
 * developing and testing; on a cluster there is a real one, so it refuses to start inside.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { type Clock, type Random, systemClock, systemRandom } from '@ambit/core/clock';
import { formatHostPort } from '@ambit/core/ip';
import { type Logger, silentLogger } from '@ambit/core/log';
import { Authenticator, type StaticUser } from './access/authenticate.ts';
import { ServiceAccountTokens } from './access/service-account-tokens.ts';
import { MASTERS } from './access/user.ts';
import { bootstrap } from './bootstrap.ts';
import { serveCustomResources } from './controllers/custom-resources.ts';
import { GarbageCollector } from './controllers/garbage.ts';
import { NamespaceController } from './controllers/namespaces.ts';
import { EmbeddedOptionError, InsideClusterError } from './errors.ts';
import type { PodDialer } from './forward/dial.ts';
import { PortForwards } from './forward/port-forward.ts';
import { type ListenTarget, Listeners } from './http/listeners.ts';
import { OpenApi } from './http/openapi.ts';
import { Router } from './http/router.ts';
import type { PodLogs } from './http/subresources.ts';
import { Watches } from './http/watch.ts';
import { ResourceRegistry } from './kinds/registry.ts';
import type { Context } from './objects/context.ts';
import { newServingCertificate } from './pki/serving.ts';
import { writeKubeconfig } from './pki/kubeconfig.ts';
import { loadOrMakeSecrets } from './pki/secrets.ts';
import { openFolder, type SyncPolicy } from './storage/folder.ts';
import { ObjectStore } from './storage/store.ts';
import { webhookCaller } from './admission/webhook-call.ts';
import { webhookAdmission } from './admission/webhooks.ts';

export interface EmbeddedUser {
  readonly name: string;
  readonly groups: readonly string[];
  /** Default: a random one. */
  readonly token?: string;
}

export interface EmbeddedApiOptions {
  /** The process's environment, to notice that this is a pod of a cluster. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the admin's kubeconfig is written, for its owner alone. */
  readonly kubeconfigPath: string;
  /** Where objects and keys are kept over a restart, for the owner alone. Default: nowhere. */
  readonly folder?: string;
  /** Whether every change is on the disk before it is answered, or those of the last 100 ms may be lost with power. */
  readonly sync?: SyncPolicy;
  /** Default: 127.0.0.1 and a free port. */
  readonly listen?: { readonly host?: string; readonly port?: number };
  /** More names and addresses that the serving certificate is for. */
  readonly hosts?: readonly string[];
  /** Users beside `admin`; they are written into the kubeconfig as further contexts. */
  readonly users?: readonly EmbeddedUser[];
  /** Connects to ports of pods, if somebody runs them: for port-forward. */
  readonly podDialer?: PodDialer;
  /** Logs of pods, if somebody runs them. */
  readonly podLogs?: PodLogs;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

export interface EmbeddedApi extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  readonly kubeconfigPath: string;
  readonly adminToken: string;
  /** What the serving certificate is signed by. */
  readonly caPem: string;
  /** The token of a user from the options. */
  tokenOf(user: string): string | undefined;
  /** Serves on one more address, or on a socket that somebody else has bound (in another network namespace). */
  listen(target: ListenTarget): Promise<{ readonly port: number }>;
  stop(): Promise<void>;
}

/**
 * Starts the API; resolves when it serves.
 *
 * @throws {@link InsideClusterError} in a pod of a cluster.
 */
export async function startEmbeddedApi(options: EmbeddedApiOptions): Promise<EmbeddedApi> {
  if (options.environment['KUBERNETES_SERVICE_HOST']) throw new InsideClusterError();
  const { clock = systemClock, random = systemRandom, log = silentLogger } = options;
  const host = options.listen?.host ?? '127.0.0.1';
  if (isIP(host) === 0)
    throw new EmbeddedOptionError(`listen.host must be an address, not ${JSON.stringify(host)}`);

  await using scope = new AsyncDisposableStack();
  const secrets = await loadOrMakeSecrets(
    options.folder === undefined ? undefined : join(options.folder, 'pki'),
    clock,
  );
  // Numbers go on from the time, so that a client of an earlier run lists anew instead of waiting for old numbers.
  const kept = options.folder === undefined ? undefined : scope.use(openFolder(options.folder, log));
  const revision = Math.max(clock.now(), (kept?.revision ?? 0) + 1);
  const store = new ObjectStore({ revision, objects: kept?.objects ?? [] }, kept);
  kept?.follow(store, options.sync ?? 'batched', clock);
  const registry = new ResourceRegistry();
  const call = webhookCaller(store, options.podDialer, clock);
  const admission = webhookAdmission({ store, call, log: log.scope('webhooks') });
  const context: Context = { store, registry, admission, clock, random, log };
  const watches = new Watches(store, clock, random);
  scope.use(serveCustomResources(store, registry, (which) => watches.close(which)));

  const users = usersOf(options);
  const tokens = new ServiceAccountTokens(secrets.tokenKeys, store, clock);
  const authenticator = new Authenticator(users, tokens);
  scope.use(new NamespaceController(context, secrets.authority.certificatePem));
  scope.use(new GarbageCollector(context));
  await bootstrap(context);

  const portForwards = new PortForwards(options.podDialer, log);
  const router = new Router({
    context,
    authenticator,
    tokens,
    watches,
    openApi: new OpenApi(registry),
    podLogs: options.podLogs,
    portForwards,
    notReady: () => undefined,
  });
  const certificate = await newServingCertificate(secrets.authority, [host, ...(options.hosts ?? [])], clock);
  const listeners = scope.use(new Listeners(certificate, router, watches, log));
  // After the listeners, so that it ends before them: they wait for every connection.
  scope.use(portForwards);
  const { port } = await listeners.listen({ host, port: options.listen?.port ?? 0 });
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const url = `https://${formatHostPort(reachable, port)}`;
  const caPem = secrets.authority.certificatePem;
  await writeKubeconfig(options.kubeconfigPath, { server: url, caPem, users });
  log.info('embedded API serves', { url, kubeconfig: options.kubeconfigPath });

  const owned = scope.move();
  return {
    url,
    kubeconfigPath: options.kubeconfigPath,
    adminToken: users[0]?.token ?? '',
    caPem,
    tokenOf: (name) => users.find((user) => user.name === name)?.token,
    listen: (target) => listeners.listen(target),
    stop: () => owned.disposeAsync(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The admin first; everybody with a token of their own. */
function usersOf({ users = [] }: EmbeddedApiOptions): readonly StaticUser[] {
  const all = users.some(({ name }) => name === 'admin')
    ? users
    : [{ name: 'admin', groups: [MASTERS] }, ...users];
  return all.map(({ name, groups, token }: EmbeddedUser) => ({
    name,
    groups,
    token: token ?? randomBytes(32).toString('base64url'),
  }));
}
