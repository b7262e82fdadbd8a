/** Writes the status of Gateways that are ours, where it differs from what is so; and of their classes. By one replica. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Scheduler } from '@ambit/collections/scheduler';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { pick } from '@ambit/kube/pick';
import { isEnding } from '@ambit/kube/resource';
import { customResourceDefinitions } from '@ambit/kube/resources/authentication';
import type { EndpointSlice } from '@ambit/kube/resources/core';
import { gatewayClasses, gateways as gatewayResource } from '@ambit/kube/resources/gateway';
import { watchCollection } from '@ambit/kube/watch-collection';
import { sameContent } from '../derive/context.ts';
import type { Inputs } from '../inputs.ts';
import { applyStatus } from '../status/apply-status.ts';
import { ConditionWriter } from '../status/condition-writer.ts';
import { StatusWriter } from '../status/status-writer.ts';
import { WAYPOINT_CONTROLLER } from '../translate/waypoint.ts';
import {
  type ClassDefinition,
  classConditions,
  featuresToWrite,
  leanDefinition,
  takesFeatures,
} from './decide/class-status.ts';
import { gatewayStatus, saysOurs, statusToWrite, type WantedStatus } from './decide/status.ts';
import { FIELD_MANAGER } from './deployments.ts';
import type { Wanted } from './wanted.ts';

const FEATURES_MANAGER = `${FIELD_MANAGER}-features`;
const NOTHING = {};
/** The name of the definition of classes. */
const CLASSES = `${gatewayClasses.plural}.${gatewayClasses.group}`;
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

export interface GatewayStatusesOptions {
  readonly client: KubeClient;
  readonly inputs: Pick<Inputs, 'services' | 'endpointSlices' | 'gatewayClasses'>;
  readonly wanted: Wanted;
  /** By `namespace/name` of the Gateway: what could not be done for it. */
  readonly problems: Collection<string, string>;
  readonly domain: string;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class GatewayStatuses implements AsyncDisposable {
  readonly #options: GatewayStatusesOptions;
  readonly #scope = new AsyncDisposableStack();

  constructor(options: GatewayStatusesOptions) {
    const { client, wanted, clock, random } = options;
    const log = options.log.scope('status');
    this.#options = options;
    const manager = { client, resource: gatewayResource, fieldManager: FIELD_MANAGER };
    this.#scope.use(
      new StatusWriter({
        name: 'gateway status',
        objects: wanted.gateways,
        wanted: this.#derive(),
        toWrite: ({ gateway }, status, nowMs) =>
          status && !isEnding(gateway) ? statusToWrite(gateway, status, nowMs) : undefined,
        write: ({ gateway }, status, signal) => applyStatus(manager, gateway, status, signal),
        clock,
        random,
        log,
      }),
    );
    this.#scope.use(
      new StatusWriter({
        name: 'status of a gateway that was given up',
        objects: wanted.givenUp,
        wanted: wanted.givenUp,
        toWrite: (gateway) => (isEnding(gateway) || !saysOurs(gateway) ? undefined : NOTHING),
        // Of what is there, what was applied under this name goes; what the next controller has written stays.
        write: (gateway, status, signal) => applyStatus(manager, gateway, status, signal),
        clock,
        random,
        log,
      }),
    );
    this.#followClasses(log);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }

  #followClasses(log: Logger): void {
    const { client, inputs, scheduler, clock, random } = this.#options;
    // Classes of others have conditions of that type as well.
    const objects = this.#scope.use(
      derivedValues({
        name: 'our gateway classes',
        scheduler,
        from: inputs.gatewayClasses,
        compute: (one) => (one.spec?.controllerName === WAYPOINT_CONTROLLER ? one : undefined),
      }),
    );
    const wanted = this.#scope.use(
      derivedValues({
        name: 'conditions of gateway classes',
        scheduler,
        from: objects,
        compute: classConditions,
        equals: sameContent,
      }),
    );
    const common = { objects, clock, random, log };
    const definitions = this.#scope.use(
      watchCollection(client, customResourceDefinitions, {
        name: 'definition of gateway classes',
        fieldSelector: `metadata.name=${CLASSES}`,
        trim: ({ metadata, ...rest }) => ({
          metadata: pick(metadata, ['name', 'uid', 'resourceVersion']),
          spec: leanDefinition(rest as ClassDefinition).spec,
        }),
        clock,
        random,
        log,
      }),
    );
    const features = this.#scope.use(
      derivedValues({
        name: 'features of gateway classes',
        scheduler,
        from: objects,
        inputs: [definitions],
        compute: (_, __, fetch) =>
          takesFeatures(fetch.get(definitions, CLASSES) as ClassDefinition | undefined),
      }),
    );
    let isTold = false;
    this.#scope.use(
      features.subscribe((events) => {
        if (isTold || !events.some(({ value }) => value === false)) return;
        isTold = true;
        log.info('the installed Gateway API has no place for what waypoints support, so it is not said');
      }),
    );
    // Apart from the conditions, so that neither waits for the other.
    const manager = { client, resource: gatewayClasses, fieldManager: FEATURES_MANAGER };
    this.#scope.use(
      new StatusWriter({
        ...common,
        wanted: features,
        name: 'features of gateway class',
        toWrite: (one, isTaken) => (isTaken && !isEnding(one) ? featuresToWrite(one) : undefined),
        write: (one, supportedFeatures, signal) => applyStatus(manager, one, { supportedFeatures }, signal),
      }),
    );
    this.#scope.use(
      new ConditionWriter({
        ...common,
        wanted,
        client,
        resource: gatewayClasses,
        fieldManager: FIELD_MANAGER,
        types: ['Accepted'],
      }),
    );
  }

  #derive(): Collection<string, WantedStatus> {
    const { inputs, wanted, problems, scheduler, domain } = this.#options;
    const slices = this.#scope.use(
      new IndexCollection<string, EndpointSlice>({
        name: 'endpoint slices by service',
        scheduler,
        from: inputs.endpointSlices,
        keysOf: ({ metadata }) => {
          const service = metadata.labels?.[SERVICE_NAME_LABEL];
          return service === undefined ? [] : [`${metadata.namespace ?? ''}/${service}`];
        },
      }),
    );
    return this.#scope.use(
      derivedValues({
        name: 'statuses of gateways',
        scheduler,
        from: wanted.gateways,
        inputs: [wanted.objects, problems, inputs.services, slices],
        compute: ({ gateway, management }, key, fetch) => {
          const { namespace = '' } = gateway.metadata;
          const objects = fetch.get(wanted.objects, key);
          return gatewayStatus({
            gateway,
            manual: management === 'manual',
            domain,
            service: (name) => fetch.get(inputs.services, `${namespace}/${name}`),
            slices: (name) => fetch.group(slices, `${namespace}/${name}`),
            parameterProblem: objects?.kind === 'problem' ? objects.message : undefined,
            deploymentProblem: fetch.get(problems, key),
          });
        },
        equals: sameContent,
      }),
    );
  }
}
