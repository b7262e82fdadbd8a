/**
 * Tells the API server how to trust our webhook: its configuration gets the mesh's roots, and, once we serve, the
 * policy to refuse objects when nobody answers. The chart installs it open, since before that nobody would.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import {
  type ValidatingWebhookConfiguration,
  validatingWebhookConfigurations,
} from '@ambit/kube/resources/authentication';
import { watchCollection } from '@ambit/kube/watch-collection';
import { KeyedWorker } from '../keyed-worker.ts';

export interface RegistrationOptions {
  readonly client: KubeClient;
  /** One of ours by name; others by label `istio.io/rev`. */
  readonly name: string;
  readonly revision: string;
  readonly rootsPem: () => string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const REVISION_LABEL = 'istio.io/rev';

/** The configuration with our roots in it, or `undefined` when they are there already. Pure. */
export function registered(
  configuration: ValidatingWebhookConfiguration,
  rootsPem: string,
): ValidatingWebhookConfiguration | undefined {
  const caBundle = Buffer.from(rootsPem).toString('base64');
  const isRight = (webhook: NonNullable<ValidatingWebhookConfiguration['webhooks']>[number]) =>
    webhook.clientConfig?.caBundle === caBundle && webhook.failurePolicy === 'Fail';
  const webhooks = configuration.webhooks ?? [];
  if (webhooks.every(isRight)) return undefined;
  return {
    ...configuration,
    webhooks: webhooks.map((webhook) => ({
      ...webhook,
      failurePolicy: 'Fail',
      clientConfig: { ...webhook.clientConfig, caBundle },
    })),
  };
}

export class WebhookRegistration implements AsyncDisposable {
  readonly #options: RegistrationOptions;
  readonly #configurations: Collection<string, ValidatingWebhookConfiguration>;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: RegistrationOptions) {
    const { client, clock, random } = options;
    const log = options.log.scope('webhook');
    this.#options = options;
    this.#configurations = this.#scope.use(
      watchCollection(client, validatingWebhookConfigurations, { clock, random, log }),
    );
    const work = (key: string, signal: AbortSignal) => this.#write(key, signal);
    this.#worker = this.#scope.use(
      new KeyedWorker({ name: 'webhook registration', work, clock, random, log }),
    );
    this.#scope.use(this.#configurations.subscribe(() => this.all()));
  }

  /** Looks at every configuration: when one changed, and when the roots are others. */
  all(): void {
    for (const [key, configuration] of this.#configurations.entries())
      if (this.#isOurs(configuration) && registered(configuration, this.#options.rootsPem()))
        this.#worker.add(key);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #isOurs({ metadata }: ValidatingWebhookConfiguration): boolean {
    const { name, revision } = this.#options;
    return metadata.name === name || metadata.labels?.[REVISION_LABEL] === (revision || 'default');
  }

  async #write(name: string, signal: AbortSignal): Promise<void> {
    const { client, rootsPem } = this.#options;
    try {
      const current = await client.get(validatingWebhookConfigurations, { name }, signal);
      const wanted = registered(current, rootsPem());
      if (wanted) await client.replace(validatingWebhookConfigurations, wanted, {}, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
