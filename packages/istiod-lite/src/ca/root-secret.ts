/**
 * The CA's key where there is no operator's: made once, kept in a Secret, shared by all replicas.
 *
 * Whoever creates the Secret first wins and the others read it, so a restart or a second replica never makes another
 * root. In the last fifth of its life the root is renewed with the same key, so nothing it signed becomes invalid. An
 * operator who wants a new key annotates the Secret; the steps of that rotation are kept in it too, and whichever replica
 * is first takes each, since a write based on an older state is refused.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { AuthorityMaterial, CertificateAuthority } from '@ambit/identity/certificate-authority';
import { caSecretFiles, type CaFiles, materialOf } from '@ambit/identity/plugged-in-ca';
import { advance, announce, dueStep, type RootPhase, type RotatingRoot } from '@ambit/identity/root-rotation';
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
  /** How long each step of a rotation lasts: the longest life of a workload's certificate. */
  readonly overlapMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const TYPE = 'istio.io/ca-root';
/** Set by an operator, to any value; taken off when the rotation begins. */
export const ROTATE_ANNOTATION = 'ambit.mesh/rotate-root';
/** So that no step of a rotation lasts much longer than it was asked to. */
const CHECKS_PER_OVERLAP = 10;
/** Of the time between two looks, which is drawn anew each time. */
const LONGEST_WAIT = 1.5;
/** Among the data, since annotations are easily lost. */
const PHASE = 'root-phase';
const SINCE = 'root-phase-since';
const NEXT_CERTIFICATE = 'next-ca-cert.pem';
const NEXT_KEY = 'next-ca-key.pem';

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
  if (existing) return stateIn(existing, clock).material;
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
    return stateIn(await client.get(secrets, { namespace, name }, signal), clock).material;
  }
}

const checkEveryMs = (overlapMs: number) => Math.min(ROOT_CHECK_MS, overlapMs / CHECKS_PER_OVERLAP);

/** How long another replica may go on with the step before, signing with its root: one look that failed, and the next. */
const replicaLagMs = (overlapMs: number) => 2 * LONGEST_WAIT * checkEveryMs(overlapMs);

/** Looks at the Secret once a minute, oftener in short rotations: takes over what another replica has done, and takes what steps are due. */
export function keepRoot(
  options: RootSecretOptions,
  authority: CertificateAuthority,
  changed: () => void,
): Disposable {
  const { clock, random, log, overlapMs } = options;
  const abort = new AbortController();
  const checkMs = checkEveryMs(overlapMs);
  let timer = clock.after(checkMs * (LONGEST_WAIT - random()), check);
  function check(): void {
    keepRootOnce(options, authority, changed, abort.signal)
      .catch((error: unknown) => {
        if (!abort.signal.aborted) log.error('CA root could not be checked', { error: messageOf(error) });
      })
      .finally(() => {
        if (!abort.signal.aborted) timer = clock.after(checkMs * (LONGEST_WAIT - random()), check);
      });
  }
  return {
    [Symbol.dispose]: () => {
      abort.abort();
      timer.cancel();
    },
  };
}

/** One look: what {@link keepRoot} does every minute. */
export async function keepRootOnce(
  options: RootSecretOptions,
  authority: CertificateAuthority,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { client, namespace, name, clock, log } = options;
  const use = (material: AuthorityMaterial) => {
    if (sameMaterial(material, authority.material)) return;
    authority.use(material);
    changed();
  };
  const secret = await client.get(secrets, { namespace, name }, signal);
  const stored = stateIn(secret, clock);
  use(stored.material);
  const done = await nextState(stored, secret, options);
  if (!done) return;
  try {
    await client.replace(secrets, withState(secret, done.state), {}, signal);
  } catch (error) {
    // Another replica was first; its state is found at the next look.
    if (isConflict(error)) return;
    throw error;
  }
  use(done.state.material);
  log.info(done.what, { secret: `${namespace}/${name}` });
}

async function nextState(
  stored: RotatingRoot,
  { metadata }: Secret,
  options: RootSecretOptions,
): Promise<{ readonly state: RotatingRoot; readonly what: string } | undefined> {
  const { clock, overlapMs } = options;
  const nowMs = clock.now();
  const wanted = metadata.annotations?.[ROTATE_ANNOTATION] !== undefined;
  const step = dueStep(stored, wanted, nowMs, overlapMs + replicaLagMs(overlapMs));
  if (step === 'announce')
    return { state: await announce(stored, options, clock), what: 'new root announced, the old one signs' };
  if (step === 'switch')
    return { state: advance(stored, nowMs), what: 'the new root signs, the old one is still trusted' };
  if (step === 'retire') return { state: advance(stored, nowMs), what: 'the old root is trusted no longer' };
  const signsItself = stored.material.chainPem.length === 0;
  if (stored.phase.kind !== 'steady' || !signsItself) return undefined;
  if (!isRenewalDue(stored.material.signer.certificatePem, nowMs)) return undefined;
  const material = await renewRoot(stored.material, options, clock);
  return { state: { material, phase: stored.phase }, what: 'self-signed root renewed with the same key' };
}

function sameMaterial(a: AuthorityMaterial, b: AuthorityMaterial): boolean {
  return a.signer.certificatePem === b.signer.certificatePem && a.rootsPem.join('') === b.rootsPem.join('');
}

function stateIn({ data = {}, metadata }: Secret, clock: Clock): RotatingRoot {
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
  return { material, phase: phaseIn(files, clock) };
}

/** A phase whose time cannot be read does not end: better both roots for long than one too early. */
function phaseIn(files: CaFiles, clock: Clock): RootPhase {
  const told = Date.parse(files[SINCE] ?? '');
  const sinceMs = Number.isNaN(told) ? clock.now() : told;
  switch (files[PHASE]) {
    case 'announced': {
      const next = materialOf(
        {
          'ca-cert.pem': files[NEXT_CERTIFICATE],
          'ca-key.pem': files[NEXT_KEY],
          'root-cert.pem': files[NEXT_CERTIFICATE],
        },
        clock.now(),
      );
      return next ? { kind: 'announced', sinceMs, next: next.signer } : { kind: 'steady' };
    }
    case 'overlapping':
      return { kind: 'overlapping', sinceMs };
    default:
      return { kind: 'steady' };
  }
}

function withState(secret: Secret, { material, phase }: RotatingRoot): Secret {
  const { [NEXT_CERTIFICATE]: _, [NEXT_KEY]: __, [PHASE]: ___, [SINCE]: ____, ...data } = secret.data ?? {};
  const { [ROTATE_ANNOTATION]: wish, ...annotations } = secret.metadata.annotations ?? {};
  const isGranted = wish === undefined || phase.kind === 'announced';
  const next = phase.kind === 'announced' && {
    [NEXT_CERTIFICATE]: phase.next.certificatePem,
    [NEXT_KEY]: phase.next.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
  const course = phase.kind !== 'steady' && {
    [PHASE]: phase.kind,
    [SINCE]: new Date(phase.sinceMs).toISOString(),
  };
  return {
    ...secret,
    metadata: {
      ...secret.metadata,
      annotations: { ...annotations, ...(!isGranted && { [ROTATE_ANNOTATION]: wish }) },
    },
    data: { ...data, ...encode({ ...caSecretFiles(material), ...next, ...course }) },
  };
}

function encode(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
}
