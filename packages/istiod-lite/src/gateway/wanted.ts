/** What of each Gateway that is ours shall be there: Gateways, classes, namespaces and overlays → objects, or why not. */
import type { Collection } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Scheduler } from '@ambit/collections/scheduler';
import { ONLY, Singleton } from '@ambit/collections/singleton';
import type { Referenced } from '@ambit/kube/referenced-objects';
import { isEnding, keyOf, type KubeObject } from '@ambit/kube/resource';
import type { ConfigMap } from '@ambit/kube/resources/core';
import type { Gateway } from '@ambit/kube/resources/gateway';
import { sameContent } from '../derive/context.ts';
import type { Inputs } from '../inputs.ts';
import { NETWORK_LABEL } from '../translate/settings.ts';
import { credentialsOf } from './decide/credentials.ts';
import { type Management, managementOf, revisionNames } from './decide/management.ts';
import { overlaid, type Overlaid, overlayOf } from './decide/overlay.ts';
import { type RenderSettings, renderWaypoint } from './decide/render.ts';

export const DEFAULTS_LABEL = 'gateway.istio.io/defaults-for-class';

/** What is known of a Gateway that is ours. */
export interface OwnGateway {
  readonly gateway: Gateway;
  readonly management: 'manual' | 'managed';
}

interface JudgedGateway {
  readonly gateway: Gateway;
  readonly management: Management;
}

export interface WantedOptions {
  readonly inputs: Pick<Inputs, 'gateways' | 'gatewayClasses' | 'namespaces'>;
  /** Those of the control plane's namespace that say of a class that they have its defaults. */
  readonly defaults: Collection<string, ConfigMap>;
  /** Those that Gateways name, by `namespace/name`. */
  readonly parameters: Collection<string, Referenced<ConfigMap>>;
  /** What makes tags of revisions. */
  readonly tags: Collection<string, KubeObject>;
  readonly settings: RenderSettings;
  readonly systemNamespace: string;
  readonly scheduler: Scheduler;
}

/** All by `namespace/name` of the Gateway. Disposed of, they follow nothing any more. */
export interface Wanted extends Disposable {
  readonly gateways: Collection<string, OwnGateway>;
  /** Those that are of somebody else's class: nothing of ours shall be there for them. */
  readonly givenUp: Collection<string, Gateway>;
  /** Of those that we run. */
  readonly objects: Collection<string, Overlaid>;
}

export function deriveWanted(options: WantedOptions): Wanted {
  const { inputs, parameters, settings, systemNamespace, scheduler } = options;
  const scope = new DisposableStack();
  const names = scope.use(
    new Singleton<ReadonlySet<string>>({
      name: 'names of the revision',
      scheduler,
      inputs: [options.tags],
      compute: () =>
        revisionNames(
          settings.revision,
          [...options.tags.values()].map(({ metadata }) => metadata),
        ),
      equals: sameContent,
    }),
  );
  const judged = scope.use(
    derivedValues({
      name: 'whose gateways are',
      scheduler,
      from: inputs.gateways,
      inputs: [inputs.gatewayClasses, inputs.namespaces, names],
      compute: (gateway, _, fetch): JudgedGateway => {
        const { namespace = '' } = gateway.metadata;
        const management = managementOf({
          gateway,
          gatewayClass: fetch.get(inputs.gatewayClasses, gateway.spec?.gatewayClassName ?? ''),
          namespaceLabels: fetch.get(inputs.namespaces, namespace)?.metadata.labels,
          names: fetch.get(names, ONLY) ?? NO_NAMES,
        });
        return { gateway, management };
      },
    }),
  );
  const gateways = scope.use(
    derivedValues({
      name: 'our gateways',
      scheduler,
      from: judged,
      compute: ({ gateway, management }): OwnGateway | undefined =>
        management === 'manual' || management === 'managed' ? { gateway, management } : undefined,
    }),
  );
  const givenUp = scope.use(
    derivedValues({
      name: 'gateways that were given up',
      scheduler,
      from: judged,
      compute: ({ gateway, management }) => (management === 'given-up' ? gateway : undefined),
    }),
  );
  const defaults = scope.use(
    new Singleton<ReadonlyMap<string, ConfigMap>>({
      name: 'defaults of gateway classes',
      scheduler,
      inputs: [options.defaults],
      compute: () => oldestByClass(options.defaults.values()),
      equals: sameContent,
    }),
  );
  const network = scope.use(
    new Singleton<string>({
      name: 'network of waypoints',
      scheduler,
      inputs: [inputs.namespaces],
      compute: () => inputs.namespaces.get(systemNamespace)?.metadata.labels?.[NETWORK_LABEL] ?? '',
    }),
  );
  const objects = scope.use(
    derivedValues({
      name: 'objects of waypoints',
      scheduler,
      from: gateways,
      inputs: [parameters, defaults, network, inputs.gatewayClasses],
      compute: ({ gateway, management }, _, fetch): Overlaid | undefined => {
        if (management !== 'managed' || isEnding(gateway)) return undefined;
        const named = parametersOf(gateway, parameters, fetch);
        if (named.kind === 'unknown') return undefined;
        if (named.kind === 'problem') return named;
        const { problem } = credentialsOf(gateway);
        if (problem !== undefined) return { kind: 'problem', message: problem };
        const byClass = fetch.get(defaults, ONLY)?.get(gateway.spec?.gatewayClassName ?? '');
        const overlays = [
          ...(byClass ? [overlayOf(byClass, true)] : []),
          ...(named.kind === 'map' ? [overlayOf(named.map, namespaceOf(named.map) === systemNamespace)] : []),
        ];
        const rendered = renderWaypoint(gateway, settings, {
          gatewayClass: fetch.get(inputs.gatewayClasses, gateway.spec?.gatewayClassName ?? ''),
          network: fetch.get(network, ONLY) ?? '',
        });
        return overlaid(rendered, overlays, settings.pod.autoscaleMin);
      },
      equals: sameContent,
    }),
  );
  return { gateways, givenUp, objects, [Symbol.dispose]: () => scope.dispose() };
}

const NO_NAMES: ReadonlySet<string> = new Set();

function namespaceOf({ metadata }: ConfigMap): string {
  return metadata.namespace ?? '';
}

/** By `namespace/name` of the ConfigMap. */
export function parameterReferences(
  gateways: Collection<string, Gateway>,
  scheduler: Scheduler,
): IndexCollection<string, Gateway> {
  return new IndexCollection({
    name: 'gateways by parameters',
    scheduler,
    from: gateways,
    keysOf: (gateway) => parametersKey(gateway) ?? [],
  });
}

function parametersKey({ metadata, spec }: Gateway): readonly [string] | undefined {
  const { group, kind, name } = spec?.infrastructure?.parametersRef ?? {};
  return group === '' && kind === 'ConfigMap' && name ? [`${metadata.namespace ?? ''}/${name}`] : undefined;
}

/** The ConfigMap that a Gateway names; or why there is none to use; or that it is not known yet. */
type NamedParameters =
  | { readonly kind: 'none' | 'unknown' }
  | { readonly kind: 'map'; readonly map: ConfigMap }
  | { readonly kind: 'problem'; readonly message: string };

function parametersOf(
  gateway: Gateway,
  parameters: Collection<string, Referenced<ConfigMap>>,
  fetch: Fetch,
): NamedParameters {
  const reference = gateway.spec?.infrastructure?.parametersRef;
  if (!reference) return { kind: 'none' };
  const [key] = parametersKey(gateway) ?? [];
  if (key === undefined) {
    const title = [reference.kind, reference.group].filter(Boolean).join('.');
    return { kind: 'problem', message: `parametersRef: must be a ConfigMap, not ${title}` };
  }
  const found = fetch.get(parameters, key);
  if (!found) return { kind: 'unknown' };
  return found.object
    ? { kind: 'map', map: found.object }
    : { kind: 'problem', message: `parametersRef: ConfigMap ${key} was not found` };
}

/** By class: the oldest ConfigMap that says it has its defaults. */
function oldestByClass(configMaps: Iterable<ConfigMap>): ReadonlyMap<string, ConfigMap> {
  const byClass = new Map<string, ConfigMap>();
  for (const map of configMaps) {
    const name = map.metadata.labels?.[DEFAULTS_LABEL];
    if (name === undefined) continue;
    const known = byClass.get(name);
    if (!known || isOlder(map, known)) byClass.set(name, map);
  }
  return byClass;
}

function isOlder(a: ConfigMap, b: ConfigMap): boolean {
  const [createdA = '', createdB = ''] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  return createdA === createdB ? keyOf(a) < keyOf(b) : createdA < createdB;
}
