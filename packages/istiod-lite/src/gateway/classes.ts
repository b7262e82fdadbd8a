/**
 * Makes the GatewayClass of waypoints where it is not there, and leaves it as it is where it is: users label it.
 *
 * The Gateway API is not ours to install. Where it is not, that is said once, and looked for again.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isConflict, isNotFound } from '@ambit/kube/errors';
import { apiVersionOf } from '@ambit/kube/resource';
import { type GatewayClass, gatewayClasses } from '@ambit/kube/resources/gateway';
import { KeyedWorker } from '../keyed-worker.ts';
import { GATEWAY_API_RETRY_MS } from '../limits.ts';
import { WAYPOINT_CONTROLLER } from '../translate/waypoint.ts';
import { WAYPOINT_CLASS } from './decide/management.ts';
import { FIELD_MANAGER } from './deployments.ts';

export interface GatewayClassesOptions {
  readonly client: KubeClient;
  readonly classes: Collection<string, GatewayClass>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const WANTED: GatewayClass = {
  apiVersion: apiVersionOf(gatewayClasses),
  kind: gatewayClasses.kind,
  metadata: { name: WAYPOINT_CLASS, labels: { 'app.kubernetes.io/part-of': 'ambit' } },
  spec: {
    controllerName: WAYPOINT_CONTROLLER,
    description: 'Waypoints of the mesh, run by its control plane',
  },
};

export class GatewayClasses implements AsyncDisposable {
  readonly #options: GatewayClassesOptions;
  readonly #log: Logger;
  readonly #worker: KeyedWorker;
  readonly #scope = new AsyncDisposableStack();
  #retry: Timer | undefined;
  #told = false;

  constructor(options: GatewayClassesOptions) {
    const { classes, clock, random } = options;
    this.#options = options;
    this.#log = options.log.scope('gateway');
    const work = (_: string, signal: AbortSignal) => this.#make(signal);
    this.#worker = this.#scope.use(
      new KeyedWorker({ name: 'gateway class', work, clock, random, log: this.#log }),
    );
    this.#scope.defer(() => this.#retry?.cancel());
    this.#scope.use(classes.subscribe(() => this.#look()));
    this.#look();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #look(): void {
    if (!this.#options.classes.has(WAYPOINT_CLASS)) this.#worker.add(WAYPOINT_CLASS);
  }

  async #make(signal: AbortSignal): Promise<void> {
    const { client, classes, clock } = this.#options;
    if (classes.has(WAYPOINT_CLASS)) return;
    try {
      await client.create(gatewayClasses, WANTED, { fieldManager: FIELD_MANAGER }, signal);
      this.#log.info('made the class of waypoints', { class: WAYPOINT_CLASS });
    } catch (error) {
      if (isConflict(error)) return;
      if (!isNotFound(error)) throw error;
      if (!this.#told)
        this.#log.info('the Gateway API is not installed, so there are no waypoints until it is');
      this.#told = true;
      this.#retry?.cancel();
      this.#retry = clock.after(GATEWAY_API_RETRY_MS, () => this.#look());
    }
  }
}
