/** Writes the status of Gateways that are ours, where it differs from what is so. By one replica. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Scheduler } from '@ambit/collections/scheduler';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { isEnding } from '@ambit/kube/resource';
import type { EndpointSlice } from '@ambit/kube/resources/core';
import { gateways as gatewayResource } from '@ambit/kube/resources/gateway';
import { sameContent } from '../derive/context.ts';
import type { Inputs } from '../inputs.ts';
import { applyStatus } from '../status/apply-status.ts';
import { StatusWriter } from '../status/status-writer.ts';
import { gatewayStatus, saysOurs, statusToWrite, type WantedStatus } from './decide/status.ts';
import { FIELD_MANAGER } from './deployments.ts';
import type { Wanted } from './wanted.ts';

const NOTHING = {};
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

export interface GatewayStatusesOptions {
  readonly client: KubeClient;
  readonly inputs: Pick<Inputs, 'services' | 'endpointSlices'>;
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
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
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
