/**
 * The CA's key where there is no operator's: made once, kept in a Secret, shared by all replicas.
 *
 * Whoever creates the Secret first wins and the others read it, so a restart or a second replica never makes another
 * root. In the last fifth of its life the root is renewed with the same key, so nothing it signed becomes invalid.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { AuthorityMaterial, CertificateAuthority } from '@ambit/identity/certificate-authority';
import { caSecretFiles, type CaFiles, materialOf } from '@ambit/identity/plugged-in-ca';
import { createSelfSignedMaterial, isRenewalDue, renewRoot } from '@ambit/identity/self-signed-ca';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict } from '@ambit/kube/errors';
import { type Secret, secrets } from '@ambit/kube/resources/core';
import { ROOT_CHECK_MS, SECRET_RETRY_MAX_MS, WRITE_RETRY_INITIAL_MS } from '../limits.ts';

export interface RootSecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** `istio-ca-secret`. */
  readonly name: string;
  readonly organization: string;
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const TYPE = 'istio.io/ca-root';

/** Reads the root, making it if there is none; keeps trying while the API server is away. */
export async function loadRoot(options: RootSecretOptions, signal: AbortSignal): Promise<AuthorityMaterial> {
  const backoff = new Backoff(
    { initialMs: WRITE_RETRY_INITIAL_MS, maxMs: SECRET_RETRY_MAX_MS, jitter: 0.2 },
    options.random,
  );
  for (;;) {
    try {
      return await readOrCreate(options, signal);
    } catch (error) {
      signal.throwIfAborted();
      options.log.warn('CA secret cannot be read, trying again', { error: messageOf(error) });
      await options.clock.sleep(backoff.nextMs(), signal);
    }
  }
}

async function readOrCreate(options: RootSecretOptions, signal: AbortSignal): Promise<AuthorityMaterial> {
  const { client, namespace, name, clock, log } = options;
  const existing = await client.find(secrets, { namespace, name }, signal);
  if (existing) return materialIn(existing, clock);
  const material = await createSelfSignedMaterial(options, clock);
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name, labels: { 'app.kubernetes.io/part-of': 'ambit' } },
    type: TYPE,
    data: encode(caSecretFiles(material)),
  };
  try {
    await client.create(secrets, secret, {}, signal);
    log.info('self-signed root made', { secret: `${namespace}/${name}` });
    return material;
  } catch (error) {
    if (!isConflict(error)) throw error;
    return materialIn(await client.get(secrets, { namespace, name }, signal), clock);
  }
}

/** Looks at the root every hour: renews it when it is due, and takes over what another replica has renewed. */
export function keepRoot(
  options: RootSecretOptions,
  authority: CertificateAuthority,
  changed: () => void,
): Disposable {
  const { clock, random, log } = options;
  const abort = new AbortController();
  let timer = clock.after(ROOT_CHECK_MS * (0.5 + random()), check);
  function check(): void {
    renewIfDue(options, authority, changed, abort.signal)
      .catch((error: unknown) => log.error('CA root could not be checked', { error: messageOf(error) }))
      .finally(() => {
        if (!abort.signal.aborted) timer = clock.after(ROOT_CHECK_MS * (0.5 + random()), check);
      });
  }
  return {
    [Symbol.dispose]: () => {
      abort.abort();
      timer.cancel();
    },
  };
}

/** One look: what {@link keepRoot} does every hour. */
export async function renewIfDue(
  options: RootSecretOptions,
  authority: CertificateAuthority,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { client, namespace, name, clock, log } = options;
  const secret = await client.get(secrets, { namespace, name }, signal);
  const stored = materialIn(secret, clock);
  if (stored.signer.certificatePem !== authority.material.signer.certificatePem) {
    authority.use(stored);
    changed();
  }
  if (!isRenewalDue(stored.signer.certificatePem, clock.now())) return;
  const renewed = await renewRoot(stored, options, clock);
  // Of two replicas the second gets a conflict, and finds the first one's root at its next look.
  await client.replace(
    secrets,
    { ...secret, data: { ...secret.data, ...encode(caSecretFiles(renewed)) } },
    {},
    signal,
  );
  authority.use(renewed);
  changed();
  log.info('self-signed root renewed', { secret: `${namespace}/${name}` });
}

function materialIn({ data = {}, metadata }: Secret, clock: Clock): AuthorityMaterial {
  const files = Object.fromEntries(
    Object.entries(data)
      .map(([name, text]) => [name, Buffer.from(text, 'base64').toString('utf8')] as const)
      .filter(([, text]) => text !== ''),
  );
  // Istio writes the self-signed root under one name only.
  const certificate = files['ca-cert.pem'];
  const complete: CaFiles =
    certificate && !files['root-cert.pem'] ? { ...files, 'root-cert.pem': certificate } : files;
  const material = materialOf(complete, clock.now());
  if (!material) throw new Error(`secret ${metadata.name} holds no CA certificate`);
  return material;
}

function encode(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
}
