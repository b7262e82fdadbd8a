/** The mesh's CA: the operator's files if there are any, else a self-signed root kept in a Secret. */
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { type Watch, Watched } from '@ambit/core/watch';
import { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { readCaFolder, watchCaFolder } from '@ambit/identity/plugged-in-ca';
import type { KubeClient } from '@ambit/kube/client';
import type { EventTeller } from '@ambit/kube/event-teller';
import type { Config } from '../config.ts';
import { type RootObserver, RootSecret, type RootSecretOptions } from './root-secret.ts';

export interface AuthorityOptions {
  readonly client: KubeClient;
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly events: EventTeller;
  /** Of the self-signed root. */
  readonly observer: RootObserver;
  readonly holdUp: RootSecretOptions['holdUp'];
}

export interface RunningAuthority extends Disposable {
  readonly authority: CertificateAuthority;
  /** Counts how often signer or roots became others. */
  readonly changed: Watch<number>;
}

/** @throws AuthorityError if the operator's files are there and cannot be used. */
export async function startAuthority(
  options: AuthorityOptions,
  signal: AbortSignal,
): Promise<RunningAuthority> {
  const { config, clock, log } = options;
  const changed = new Watched(0);
  const tell = () => changed.set(changed.value + 1);
  const limits = { clock, defaultTtlMs: config.defaultTtlMs, maxTtlMs: config.maxTtlMs };
  const pluggedIn = await readCaFolder(config.caDirectory, clock.now());
  if (pluggedIn) {
    const authority = new CertificateAuthority(pluggedIn, limits);
    const watching = await watchCaFolder({
      folder: config.caDirectory,
      authority,
      clock,
      log,
      reloaded: tell,
    });
    log.info("using the operator's CA", { directory: config.caDirectory });
    return { authority, changed, [Symbol.dispose]: () => watching[Symbol.dispose]() };
  }
  if (config.rootOverlapMs < config.defaultTtlMs) {
    log.warn('certificates outlive the overlap of a root rotation: they would be refused at its end', {
      AMBIT_ROOT_OVERLAP: config.rootOverlapMs,
      DEFAULT_WORKLOAD_CERT_TTL: config.defaultTtlMs,
    });
  }
  const secret = new RootSecret({
    ...options,
    namespace: config.namespace,
    name: config.caSecret,
    organization: config.trustDomain,
    lifetimeMs: config.caTtlMs,
    overlapMs: config.rootOverlapMs,
  });
  const authority = new CertificateAuthority(await secret.load(signal), limits);
  const keeping = secret.keep(authority, tell);
  return { authority, changed, [Symbol.dispose]: () => keeping[Symbol.dispose]() };
}
