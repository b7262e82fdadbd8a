/**
 * Tells the API server how to trust our webhook: its configuration gets the mesh's roots and then, once the API server is
 * seen to ask us, the policy to refuse objects when nobody answers. The chart installs it open, since before that nobody
 * would; a cluster whose API server cannot reach us stays open, and the log says so.
 *
 * Every replica does it, not one for all: where their roots differ, while a CA is replaced, each has to be believed. So each
 * puts its own there and takes a root of others away only when it has been nobody's for a while: whose it still is puts
 * it there again, before that or after.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { messageOf } from '@ambit/core/errors';
import type { Watch } from '@ambit/core/watch';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import { apiVersionOf } from '@ambit/kube/resource';
import {
  type ValidatingWebhookConfiguration,
  validatingWebhookConfigurations,
} from '@ambit/kube/resources/authentication';
import { type AuthorizationPolicy, authorizationPolicies } from '@ambit/kube/resources/security';
import { WebhookNotAskedError } from '../errors.ts';
import { KeyedWorker } from '../keyed-worker.ts';
import { BELIEVED_EVERYWHERE_MS, BELIEVED_WAIT_MAX_MS, DEPARTING_ROOT_MS } from '../limits.ts';
import { closed, doubts, rootsOf, trusted } from './bundle.ts';
import { ALWAYS_REJECT_ANNOTATION } from './review.ts';

export interface RegistrationOptions {
  readonly client: KubeClient;
  /** All there are. */
  readonly configurations: Collection<string, ValidatingWebhookConfiguration>;
  /** The one that is waited for. Others that are ours by label `istio.io/rev` are written where we may. */
  readonly name: string;
  readonly revision: string;
  /** Of the control plane: where it is tried out whether we are asked. */
  readonly namespace: string;
  /** What signs now, and every root that is trusted now. */
  readonly material: () => AuthorityMaterial;
  /** Turns when that is another. */
  readonly changed: Watch<number>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const REVISION_LABEL = 'istio.io/rev';

export class WebhookRegistration implements AsyncDisposable {
  readonly #options: RegistrationOptions;
  readonly #log: Logger;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();
  /** By configuration: roots in it that are not ours, and since when they have been seen there. */
  #departing: ReadonlyMap<string, Map<string, number>> = new Map();
  /** What the configuration that is waited for trusts, and since when it has been seen so. */
  #bundle: { readonly roots: string; readonly sinceMs: number } | undefined;
  #departure: Timer | undefined;
  #serves = false;

  constructor(options: RegistrationOptions) {
    const { configurations, clock, random } = options;
    const log = options.log.scope('webhook');
    this.#options = options;
    this.#log = log;
    const work = (key: string, signal: AbortSignal) => this.#write(key, signal);
    this.#worker = this.#scope.use(
      new KeyedWorker({ name: 'webhook registration', work, clock, random, log }),
    );
    this.#scope.defer(() => this.#departure?.cancel());
    this.#scope.use(configurations.subscribe(() => this.all()));
    this.#scope.use(options.changed.subscribe(() => this.all()));
    this.all();
  }

  /** From now on there is somebody who answers: configurations close. */
  serves(): void {
    this.#serves = true;
    this.all();
  }

  /** Looks at every configuration. */
  all(): void {
    this.#watchDepartures();
    this.#watchBundle();
    for (const configuration of this.#ours())
      if (this.#withRoots(configuration) ?? (this.#serves && closed(configuration)))
        this.#worker.add(configuration.metadata.name);
  }

  /**
   * Resolves when our configuration would not refuse policies because of who signs now: at once where that has been so for
   * a while, else a moment after the API server was told, or after `maxMs` with a warning.
   *
   * @throws The reason of `signal`, and nothing else.
   */
  async believed(maxMs: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const limitMs = Math.min(maxMs, BELIEVED_WAIT_MAX_MS);
    await this.#undoubted(limitMs, signal);
    const doubting = this.#doubting();
    if (doubting !== undefined) {
      this.#log.warn('the API server could not be told of our root: it refuses policies from now on', {
        configuration: doubting,
        waitedMs: limitMs,
      });
      return;
    }
    // Whoever told it: another replica may have, just now.
    const toldMs = this.#bundle?.sinceMs ?? Number.NEGATIVE_INFINITY;
    const leftMs = toldMs + BELIEVED_EVERYWHERE_MS - clock.monotonicMs();
    if (leftMs > 0) await clock.sleep(Math.min(leftMs, limitMs), signal);
  }

  /** How many could not be written and are tried again: by name the one that is waited for, the others by label alone. */
  unwritten(): Readonly<Record<'name' | 'label', number>> {
    const { name } = this.#options;
    const all = [...this.#worker.failing];
    const own = all.filter((key) => key === name).length;
    return { name: own, label: all.length - own };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #ours(): readonly ValidatingWebhookConfiguration[] {
    return [...this.#options.configurations.values()].filter((one) => this.#isOurs(one));
  }

  #isOurs({ metadata }: ValidatingWebhookConfiguration): boolean {
    const { name, revision } = this.#options;
    return metadata.name === name || metadata.labels?.[REVISION_LABEL] === (revision || 'default');
  }

  /** Waits until nobody doubts, for `limitMs` at most. */
  async #undoubted(limitMs: number, signal?: AbortSignal): Promise<void> {
    const { configurations, clock } = this.#options;
    signal?.throwIfAborted();
    if (this.#doubting() === undefined) return;
    const over = Promise.withResolvers<void>();
    const look = () => {
      if (this.#doubting() === undefined) over.resolve();
    };
    const abandon = () => over.reject(signal?.reason as Error);
    using waiting = new DisposableStack();
    waiting.use(configurations.subscribe(look));
    waiting.use(configurations.synced.subscribe(look));
    const timer = clock.after(limitMs, () => over.resolve());
    waiting.defer(() => timer.cancel());
    signal?.addEventListener('abort', abandon, { once: true });
    waiting.defer(() => signal?.removeEventListener('abort', abandon));
    await over.promise;
  }

  /**
   * Who would refuse because of who signs now, or that nobody knows; `undefined`: nobody. Those that are ours by label alone
   * do not count: an Istio beside us labels its own so, which trusts another and which we may not write.
   */
  #doubting(): string | undefined {
    const { configurations, name, material } = this.#options;
    if (!configurations.synced.value) return 'none is known yet';
    const configuration = configurations.get(name);
    return configuration && doubts(configuration, material()) ? name : undefined;
  }

  /** Notes since when the configuration that is waited for trusts whom it trusts. */
  #watchBundle(): void {
    const { configurations, name, material, clock } = this.#options;
    const configuration = configurations.get(name);
    if (!configuration) return;
    const found = rootsOf(configuration);
    const roots = found.join('');
    if (roots === this.#bundle?.roots) return;
    // Others' roots beside ours stay for a while after a change: a start that finds none has nothing to wait for.
    const isSettled = this.#bundle === undefined && found.every((root) => material().rootsPem.includes(root));
    this.#bundle = { roots, sinceMs: isSettled ? Number.NEGATIVE_INFINITY : clock.monotonicMs() };
  }

  #withRoots(configuration: ValidatingWebhookConfiguration): ValidatingWebhookConfiguration | undefined {
    const { material, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const departing = this.#departing.get(configuration.metadata.name);
    const isKept = (root: string) => nowMs - (departing?.get(root) ?? nowMs) < DEPARTING_ROOT_MS;
    return trusted(configuration, material().rootsPem, isKept);
  }

  /** Notes which roots are of others since when, and looks again when the time of the next one is over. */
  #watchDepartures(): void {
    const { material, clock } = this.#options;
    const ours = new Set(material().rootsPem);
    const nowMs = clock.monotonicMs();
    const before = this.#departing;
    const departingFrom = (configuration: ValidatingWebhookConfiguration) => {
      const known = before.get(configuration.metadata.name);
      const others = new Set(rootsOf(configuration)).difference(ours);
      return new Map([...others].map((root) => [root, known?.get(root) ?? nowMs]));
    };
    this.#departing = new Map(this.#ours().map((one) => [one.metadata.name, departingFrom(one)]));
    // Those whose time is over already are what the worker is at.
    const leftMs = [...this.#departing.values()]
      .flatMap((departing) => [...departing.values()])
      .map((sinceMs) => sinceMs + DEPARTING_ROOT_MS - nowMs)
      .filter((ms) => ms > 0);
    this.#departure?.cancel();
    this.#departure = leftMs.length > 0 ? clock.after(Math.min(...leftMs), () => this.all()) : undefined;
  }

  /** Of what was taken away: who puts it there again has it there for as long again, also if we see both at once. */
  #forgetDepartures(before: ValidatingWebhookConfiguration, after: ValidatingWebhookConfiguration): void {
    const departing = this.#departing.get(before.metadata.name);
    for (const root of new Set(rootsOf(before)).difference(new Set(rootsOf(after)))) departing?.delete(root);
  }

  async #write(name: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    try {
      const replace = (wanted: ValidatingWebhookConfiguration) =>
        client.replace(validatingWebhookConfigurations, wanted, {}, signal);
      const found = await client.get(validatingWebhookConfigurations, { name }, signal);
      const withRoots = this.#withRoots(found);
      const current = withRoots ? await replace(withRoots) : found;
      if (withRoots) this.#forgetDepartures(found, withRoots);
      const withPolicy = closed(current);
      if (!withPolicy || !this.#serves) return;
      await this.#check(signal);
      await replace(withPolicy);
      this.#log.info('admission refuses from now on when nobody answers', { configuration: name });
    } catch (error) {
      // Gone, or another replica was first: we are told of that, and look again.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  /**
   * Asks the API server for what we always refuse, without storing anything.
   *
   * @throws {@link WebhookNotAskedError} Closing now would keep every policy of the cluster from being written.
   */
  async #check(signal: AbortSignal): Promise<void> {
    const { client, namespace } = this.#options;
    const object: AuthorizationPolicy = {
      apiVersion: apiVersionOf(authorizationPolicies),
      kind: authorizationPolicies.kind,
      metadata: {
        namespace,
        name: 'istiod-admission-check',
        annotations: { [ALWAYS_REJECT_ANNOTATION]: 'true' },
      },
    };
    let why = 'the object was let through';
    try {
      await client.create(authorizationPolicies, object, { dryRun: true }, signal);
    } catch (error) {
      why = messageOf(error);
      // Ours names the annotation: a webhook of somebody else may deny all objects that we write.
      if (why.includes('denied the request') && why.includes(ALWAYS_REJECT_ANNOTATION)) return;
    }
    throw new WebhookNotAskedError(why);
  }
}
