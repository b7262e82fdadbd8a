/**
 * Writes the status of classes of waypoints. A class is nobody's revision, so one control plane of all does it.
 *
 * Each revision would otherwise write what its own version supports, over what the other has just written, for ever.
 */
import { derivedValues } from '@ambit/collections/derived';
import type { Scheduler } from '@ambit/collections/scheduler';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { KubeClient } from '@ambit/kube/client';
import { pick } from '@ambit/kube/pick';
import { isEnding } from '@ambit/kube/resource';
import { customResourceDefinitions } from '@ambit/kube/resources/authentication';
import { gatewayClasses } from '@ambit/kube/resources/gateway';
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
import { FIELD_MANAGER } from './deployments.ts';

const FEATURES_MANAGER = `${FIELD_MANAGER}-features`;
/** The name of the definition of classes. */
const CLASSES = `${gatewayClasses.plural}.${gatewayClasses.group}`;

export interface ClassStatusesOptions {
  readonly client: KubeClient;
  readonly inputs: Pick<Inputs, 'gatewayClasses'>;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Writes until disposed of. Only one replica of all revisions may: see leadership.ts. */
export function startClassStatuses(options: ClassStatusesOptions): AsyncDisposable {
  const { client, inputs, scheduler, clock, random } = options;
  const log = options.log.scope('status');
  const scope = new AsyncDisposableStack();
  // Classes of others have conditions of that type as well.
  const objects = scope.use(
    derivedValues({
      name: 'our gateway classes',
      scheduler,
      from: inputs.gatewayClasses,
      compute: (one) => (one.spec?.controllerName === WAYPOINT_CONTROLLER ? one : undefined),
    }),
  );
  const wanted = scope.use(
    derivedValues({
      name: 'conditions of gateway classes',
      scheduler,
      from: objects,
      compute: classConditions,
      equals: sameContent,
    }),
  );
  const common = { objects, clock, random, log };
  const definitions = scope.use(
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
  const features = scope.use(
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
  scope.use(
    features.subscribe((events) => {
      if (isTold || !events.some(({ value }) => value === false)) return;
      isTold = true;
      log.info('the installed Gateway API has no place for what waypoints support, so it is not said');
    }),
  );
  // Apart from the conditions, so that neither waits for the other.
  const manager = { client, resource: gatewayClasses, fieldManager: FEATURES_MANAGER };
  scope.use(
    new StatusWriter({
      ...common,
      wanted: features,
      name: 'features of gateway class',
      toWrite: (one, isTaken) => (isTaken && !isEnding(one) ? featuresToWrite(one) : undefined),
      write: (one, supportedFeatures, signal) => applyStatus(manager, one, { supportedFeatures }, signal),
    }),
  );
  scope.use(
    new ConditionWriter({
      ...common,
      wanted,
      client,
      resource: gatewayClasses,
      fieldManager: FIELD_MANAGER,
      types: ['Accepted'],
    }),
  );
  return scope;
}
