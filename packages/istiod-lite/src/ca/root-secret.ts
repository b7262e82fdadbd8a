/**
 * The CA's key where there is no operator's: made once, kept in a Secret, shared by all replicas.
 *
 * Whoever creates the Secret first wins and the others read it, so a restart or a second replica never makes another
 * root. In the last fifth of its life the root is renewed with the same key, so nothing it signed becomes invalid. An
 * operator who wants a new key annotates the Secret; the steps of that rotation are kept in it too, and whichever replica
 * is first takes each, since a write based on an older state is refused.
 *
 * The new root signs no sooner than the API server would believe it (`holdUp`), however long that takes: a rotation that waits
 * harms nobody, and one that does not would keep every policy from being written.
 *
 * What is known is signed with whatever becomes of the Secret: one that was deleted is written back, as the next start
 * would make a root that no proxy trusts; one that cannot be read is left as it is, for it is somebody's work.
 */
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { AuthorityMaterial, CertificateAuthority } from '@ambit/identity/certificate-authority';
import { AuthorityError } from '@ambit/identity/errors';
import { advance, announce, dueStep, type RotatingRoot } from '@ambit/identity/root-rotation';
import { createSelfSignedMaterial, isRenewalDue, renewRoot } from '@ambit/identity/self-signed-ca';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict } from '@ambit/kube/errors';
import type { EventTeller } from '@ambit/kube/event-teller';
import { type Secret, secrets } from '@ambit/kube/resources/core';
import { ROOT_CHECK_MS, SECRET_RETRY_MAX_MS, WRITE_RETRY_INITIAL_MS } from '../limits.ts';
import { newRootSecret, ROTATE_ANNOTATION, rootIn, type StoredRoot, withRoot } from './root-state.ts';

/**
 * What is wrong with the Secret: it is not there; the root cannot be read; the root of a rotation cannot be read; it may not
 * sign yet though its time has come.
 */
export const ROOT_PROBLEMS = ['gone', 'unreadable', 'next-unreadable', 'held-up'] as const;
export type RootProblem = (typeof ROOT_PROBLEMS)[number];

export interface RootObserver {
  /** After each look; `undefined`: all is well. */
  problem(problem: RootProblem | undefined): void;
  writtenBack(): void;
}

export interface RootSecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** `istio-ca-secret`. */
  readonly name: string;
  readonly organization: string;
  readonly lifetimeMs: number;
  /** How long each step of a rotation lasts: the longest life of a workload's certificate. */
  readonly overlapMs: number;
  /** Why `next` may not sign yet in the place of what peers trust now; `undefined`: it may. */
  readonly holdUp: (rootsPem: readonly string[], nextPem: string) => string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly events: Pick<EventTeller, 'tell'>;
  readonly observer: RootObserver;
}

/** So that no step of a rotation lasts much longer than it was asked to. */
const CHECKS_PER_OVERLAP = 10;
/** Of the time between two looks, which is drawn anew each time. */
const LONGEST_WAIT = 1.5;

const checkEveryMs = (overlapMs: number) => Math.min(ROOT_CHECK_MS, overlapMs / CHECKS_PER_OVERLAP);

/** How long another replica may go on with the step before, signing with its root: one look that failed, and the next. */
const replicaLagMs = (overlapMs: number) => 2 * LONGEST_WAIT * checkEveryMs(overlapMs);

const stepMs = (overlapMs: number) => overlapMs + replicaLagMs(overlapMs);

/** One replica's view of the Secret. */
export class RootSecret {
  readonly #options: RootSecretOptions;
  /** As it was last read or written. */
  #known: RotatingRoot | undefined;
  #told: string | undefined;

  constructor(options: RootSecretOptions) {
    this.#options = options;
  }

  /** Reads the root, making it if there is none; keeps trying while the API server is away, and while it cannot be read. */
  async load(signal: AbortSignal): Promise<AuthorityMaterial> {
    const { random, clock, log } = this.#options;
    const backoff = new Backoff(
      { initialMs: WRITE_RETRY_INITIAL_MS, maxMs: SECRET_RETRY_MAX_MS, jitter: 0.2 },
      random,
    );
    for (;;) {
      try {
        return (await this.#readOrCreate(signal)).material;
      } catch (error) {
        signal.throwIfAborted();
        log.warn('CA secret cannot be read, trying again', { error: messageOf(error) });
        await clock.sleep(backoff.nextMs(), signal);
      }
    }
  }

  /** Looks at the Secret once a minute, oftener in short rotations. */
  keep(authority: CertificateAuthority, changed: () => void): Disposable {
    const { clock, random, log, overlapMs } = this.#options;
    const abort = new AbortController();
    const checkMs = checkEveryMs(overlapMs);
    let timer = clock.after(checkMs * (LONGEST_WAIT - random()), () => check());
    const check = () => {
      this.look(authority, changed, abort.signal)
        .catch((error: unknown) => {
          if (!abort.signal.aborted) log.error('CA root could not be checked', { error: messageOf(error) });
        })
        .finally(() => {
          if (!abort.signal.aborted) timer = clock.after(checkMs * (LONGEST_WAIT - random()), check);
        });
    };
    return {
      [Symbol.dispose]: () => {
        abort.abort();
        timer.cancel();
      },
    };
  }

  /**
   * One look: takes over what another replica has done, takes what steps are due, writes back what was deleted.
   *
   * @throws Whatever kept it from that; the authority is as before then.
   */
  async look(authority: CertificateAuthority, changed: () => void, signal: AbortSignal): Promise<void> {
    const { client, namespace, name, log } = this.#options;
    const use = ({ material }: RotatingRoot) => {
      if (sameMaterial(material, authority.material)) return;
      authority.use(material);
      changed();
    };
    const secret = await client.find(secrets, { namespace, name }, signal);
    if (!secret) return await this.#writeBack(signal);
    const stored = this.#read(secret, (root) => heldUpBy(root, this.#options));
    use(stored);
    const done = await nextState(stored, secret, this.#options);
    if (!done) return;
    try {
      await client.replace(secrets, withRoot(secret, done.state), {}, signal);
    } catch (error) {
      // Another replica was first; its state is found at the next look.
      if (isConflict(error)) return;
      throw error;
    }
    this.#known = done.state;
    use(done.state);
    log.info(done.what, { secret: `${namespace}/${name}` });
  }

  async #readOrCreate(signal: AbortSignal): Promise<RotatingRoot> {
    const { client, namespace, name, clock, log } = this.#options;
    const existing = await client.find(secrets, { namespace, name }, signal);
    if (existing) return this.#read(existing);
    const material = await createSelfSignedMaterial(this.#options, clock);
    const made: RotatingRoot = { material, phase: { kind: 'steady' } };
    try {
      await client.create(secrets, newRootSecret(this.#options, made), {}, signal);
    } catch (error) {
      if (!isConflict(error)) throw error;
      return this.#read(await client.get(secrets, { namespace, name }, signal));
    }
    log.info('self-signed root made', { secret: `${namespace}/${name}` });
    this.#known = made;
    return made;
  }

  /**
   * @param heldUp - Why the next step is not taken. Default: nobody is about to take one.
   * @throws {@link AuthorityError}
   */
  #read(secret: Secret, heldUp: (stored: StoredRoot) => string | undefined = () => undefined): StoredRoot {
    let stored: StoredRoot;
    try {
      stored = rootIn(secret, this.#options.clock.now());
    } catch (error) {
      if (error instanceof AuthorityError)
        this.#report('unreadable', secret, `the root cannot be read: ${messageOf(error)}`);
      throw error;
    }
    const waitsFor = heldUp(stored);
    if (stored.lostNext !== undefined)
      this.#report(
        'next-unreadable',
        secret,
        `the rotation of the root cannot go on and is given up, the root before it signs on: ${stored.lostNext}; annotate ${ROTATE_ANNOTATION} to begin another`,
      );
    else if (waitsFor !== undefined)
      this.#report(
        'held-up',
        secret,
        `the new root does not sign yet, though its time has come, and the one before it signs on: ${waitsFor}`,
      );
    else this.#report(undefined);
    this.#known = stored;
    return stored;
  }

  async #writeBack(signal: AbortSignal): Promise<void> {
    const { client, events, observer, log, namespace, name } = this.#options;
    const known = this.#known;
    if (!known) return;
    this.#report('gone');
    let written: Secret;
    try {
      written = await client.create(secrets, newRootSecret(this.#options, known), {}, signal);
    } catch (error) {
      // Another replica was first.
      if (isConflict(error)) return;
      throw error;
    }
    this.#report(undefined);
    observer.writtenBack();
    const message = 'the Secret of the root was gone, and has been written back as it was known';
    log.error(message, { secret: `${namespace}/${name}` });
    events.tell(secrets, written, { type: 'Warning', reason: 'RootWrittenBack', message, about: '' });
  }

  /** Says what is new, and keeps the metric current. */
  #report(problem: RootProblem | undefined, secret?: Secret, message = ''): void {
    const { observer, events, log, namespace, name } = this.#options;
    observer.problem(problem);
    const isNew = this.#told !== message;
    this.#told = message;
    if (!isNew || !secret || problem === undefined) return;
    log.error(message, { secret: `${namespace}/${name}` });
    events.tell(secrets, secret, { type: 'Warning', reason: 'RootProblem', message, about: problem });
  }
}

async function nextState(
  stored: RotatingRoot,
  { metadata }: Secret,
  options: RootSecretOptions,
): Promise<{ readonly state: RotatingRoot; readonly what: string } | undefined> {
  const { clock, overlapMs } = options;
  const nowMs = clock.now();
  const wanted = metadata.annotations?.[ROTATE_ANNOTATION] !== undefined;
  const step = dueStep(stored, wanted, nowMs, stepMs(overlapMs));
  if (step === 'announce')
    return { state: await announce(stored, options, clock), what: 'new root announced, the old one signs' };
  if (step === 'switch' && heldUpBy(stored, options) === undefined)
    return { state: advance(stored, nowMs), what: 'the new root signs, the old one is still trusted' };
  if (step === 'retire') return { state: advance(stored, nowMs), what: 'the old root is trusted no longer' };
  // While another root is announced too: this one signs until then, and may not last so long.
  const signsItself = stored.material.chainPem.length === 0;
  if (!signsItself || !isRenewalDue(stored.material.signer.certificatePem, nowMs)) return undefined;
  const material = await renewRoot(stored.material, options, clock);
  return { state: { material, phase: stored.phase }, what: 'self-signed root renewed with the same key' };
}

/** Why the new root does not sign though its time has come; `undefined`: it may, or has not. */
function heldUpBy(stored: RotatingRoot, { clock, overlapMs, holdUp }: RootSecretOptions): string | undefined {
  const { material, phase } = stored;
  if (phase.kind !== 'announced' || dueStep(stored, false, clock.now(), stepMs(overlapMs)) === undefined)
    return undefined;
  return holdUp(material.rootsPem, phase.next.certificatePem);
}

function sameMaterial(a: AuthorityMaterial, b: AuthorityMaterial): boolean {
  return a.signer.certificatePem === b.signer.certificatePem && a.rootsPem.join('') === b.rootsPem.join('');
}
