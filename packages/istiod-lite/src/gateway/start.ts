/** Everything that turns Gateways into running waypoints, wired; for the one replica that leads. */
import type { Scheduler } from '@ambit/collections/scheduler';
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { pick } from '@ambit/kube/pick';
import type { KubeClient } from '@ambit/kube/client';
import { ReferencedObjects } from '@ambit/kube/referenced-objects';
import { mutatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import { type ConfigMap, configMaps } from '@ambit/kube/resources/core';
import { watchCollection } from '@ambit/kube/watch-collection';
import { type Inputs, mayBeConfigMap, selectionOf } from '../inputs.ts';
import { GatewayClasses } from './classes.ts';
import { TAG_LABEL } from './decide/management.ts';
import { PARTS } from './decide/manifest.ts';
import type { RenderSettings } from './decide/render.ts';
import { tellDefaultTag } from './default-tag.ts';
import { GatewayDeployments } from './deployments.ts';
import { GatewayStatuses } from './statuses.ts';
import { DEFAULTS_LABEL, deriveWanted, parameterReferences } from './wanted.ts';

export interface GatewayControllerOptions {
  readonly client: KubeClient;
  readonly inputs: Inputs;
  readonly settings: Omit<RenderSettings, 'network'>;
  /** Of the control plane: where defaults of classes are. */
  readonly systemNamespace: string;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What is written. Default: everything. */
  readonly writes?: { readonly classes: boolean; readonly statuses: boolean };
}

/** Works until disposed of. */
export function startGatewayController(options: GatewayControllerOptions): AsyncDisposable {
  const { client, inputs, settings, clock, random, log, scheduler } = options;
  const { classes, statuses } = options.writes ?? { classes: true, statuses: true };
  const common = { client, clock, random, log };
  const scope = new AsyncDisposableStack();
  const watch = { clock, random, log: log.scope('gateway'), trim: trimmed };
  const defaults = scope.use(
    watchCollection(client, configMaps, {
      ...watch,
      name: 'config maps with defaults of classes',
      namespace: options.systemNamespace,
      labelSelector: DEFAULTS_LABEL,
    }),
  );
  const parameters = scope.use(
    new ReferencedObjects({
      name: 'parameters of gateways',
      references: parameterReferences(inputs.gateways, scheduler),
      mayExist: mayBeConfigMap,
      follow: (key) =>
        watchCollection(client, configMaps, {
          ...watch,
          ...selectionOf(key),
          name: 'config maps with overlays',
        }),
    }),
  );
  const tags = scope.use(
    watchCollection(client, mutatingWebhookConfigurations, {
      clock,
      random,
      log: watch.log,
      name: 'tags of revisions',
      labelSelector: TAG_LABEL,
      trim: ({ metadata }) => ({ metadata: pick(metadata, ['name', 'uid', 'resourceVersion', 'labels']) }),
    }),
  );
  scope.use(tellDefaultTag({ tags, revision: settings.revision, clock, log: watch.log }));
  const wanted = scope.use(deriveWanted({ ...options, defaults, parameters, tags }));
  const deployments = scope.use(new GatewayDeployments({ ...common, wanted }));
  if (statuses)
    scope.use(
      new GatewayStatuses({
        ...common,
        inputs,
        wanted,
        problems: deployments.problems,
        domain: settings.domain,
        scheduler,
      }),
    );
  if (classes) scope.use(new GatewayClasses({ ...common, classes: inputs.gatewayClasses }));
  return scope;
}

/** Of what is no overlay there is nothing to keep. */
function trimmed({ metadata, data = {} }: ConfigMap): ConfigMap {
  const overlays = pick(data, PARTS);
  const { annotations: _, ...lean } = metadata;
  return Object.keys(overlays).length > 0 ? { metadata: lean, data: overlays } : { metadata: lean };
}
