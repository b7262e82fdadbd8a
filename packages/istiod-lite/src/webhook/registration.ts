/**
 * Tells the API server how to trust our webhook: its configuration gets the mesh's roots and then, once the API server is
 * seen to ask us, the policy to refuse objects when nobody answers. The chart installs it open, since before that nobody
 * would; a cluster whose API server cannot reach us stays open, and the log says so.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { messageOf } from '@ambit/core/errors';
import type { Watch } from '@ambit/core/watch';
import type { KubeClient } from '@ambit/kube/client';
import { isNotFound } from '@ambit/kube/errors';
import { apiVersionOf } from '@ambit/kube/resource';
import {
  type ValidatingWebhookConfiguration,
  validatingWebhookConfigurations,
} from '@ambit/kube/resources/authentication';
import { type AuthorizationPolicy, authorizationPolicies } from '@ambit/kube/resources/security';
import { watchCollection } from '@ambit/kube/watch-collection';
import { WebhookNotAskedError } from '../errors.ts';
import { KeyedWorker } from '../keyed-worker.ts';
import { ALWAYS_REJECT_ANNOTATION } from './review.ts';

export interface RegistrationOptions {
  readonly client: KubeClient;
  /** One of ours by name; others by label `istio.io/rev`. */
  readonly name: string;
  readonly revision: string;
  /** Of the control plane: where it is tried out whether we are asked. */
  readonly namespace: string;
  readonly rootsPem: () => string;
  /** Turns when the roots are others. */
  readonly changed: Watch<number>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const REVISION_LABEL = 'istio.io/rev';

/** Of the webhook that only warns: it must never keep a Namespace or a Service from being written. */
const WARNING_WEBHOOK = 'waypoint.validation.istio.io';

type Webhook = NonNullable<ValidatingWebhookConfiguration['webhooks']>[number];

/** The configuration with our roots in it, or `undefined` when they are there already. Pure. */
export function trusted(
  configuration: ValidatingWebhookConfiguration,
  rootsPem: string,
): ValidatingWebhookConfiguration | undefined {
  const caBundle = Buffer.from(rootsPem).toString('base64');
  return changed(
    configuration,
    (webhook) => webhook.clientConfig?.caBundle === caBundle,
    (webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } }),
  );
}

/** The configuration that refuses when nobody answers, or `undefined` when it does already. Pure. */
export function closed(
  configuration: ValidatingWebhookConfiguration,
): ValidatingWebhookConfiguration | undefined {
  return changed(
    configuration,
    ({ name, failurePolicy }) => name === WARNING_WEBHOOK || failurePolicy === 'Fail',
    (webhook) => ({ ...webhook, failurePolicy: 'Fail' }),
  );
}

function changed(
  configuration: ValidatingWebhookConfiguration,
  isRight: (webhook: Webhook) => boolean,
  put: (webhook: Webhook) => Webhook,
): ValidatingWebhookConfiguration | undefined {
  const webhooks = configuration.webhooks ?? [];
  if (webhooks.every(isRight)) return undefined;
  return {
    ...configuration,
    webhooks: webhooks.map((webhook) => (isRight(webhook) ? webhook : put(webhook))),
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
    this.#scope.use(options.changed.subscribe(() => this.all()));
  }

  /** Looks at every configuration. */
  all(): void {
    for (const [key, configuration] of this.#configurations.entries())
      if (
        this.#isOurs(configuration) &&
        (trusted(configuration, this.#options.rootsPem()) ?? closed(configuration))
      )
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
      const replace = (wanted: ValidatingWebhookConfiguration) =>
        client.replace(validatingWebhookConfigurations, wanted, {}, signal);
      const found = await client.get(validatingWebhookConfigurations, { name }, signal);
      const withRoots = trusted(found, rootsPem());
      const current = withRoots ? await replace(withRoots) : found;
      const withPolicy = closed(current);
      if (!withPolicy) return;
      await this.#check(signal);
      await replace(withPolicy);
      this.#options.log.info('admission refuses from now on when nobody answers', { configuration: name });
    } catch (error) {
      if (!isNotFound(error)) throw error;
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
