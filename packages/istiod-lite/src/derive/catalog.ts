/** Services and ServiceEntries → what routes may name, kept apart from what changes more often. */
import type { GraphNode } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { IndexCollection } from '@ambit/collections/index-by';
import { JoinedCollection } from '@ambit/collections/join';
import {
  type Catalog,
  type CatalogService,
  catalogService,
  catalogServiceOfEntry,
} from '../translate/routes/catalog.ts';
import { type GraphContext, sameContent } from './context.ts';
import type { Services } from './services.ts';
import type { Visibilities } from './visibility.ts';

export interface Catalogs {
  /** What a computation that looks into the catalog must give as its inputs. */
  readonly inputs: readonly GraphNode[];
  with(fetch: Fetch): Catalog;
}

export function deriveCatalog(
  { inputs, settings, scheduler }: GraphContext,
  { entries }: Services,
  visibilities: Visibilities,
): Catalogs {
  const ofServices = derivedValues({
    name: 'services as routes name them',
    scheduler,
    from: inputs.services,
    compute: (service): CatalogService | undefined => catalogService(service, settings),
    equals: sameContent,
  });
  const ofEntries = derivedValues({
    name: 'hosts of service entries as routes name them',
    scheduler,
    from: entries.infos,
    inputs: [entries.checked, ...visibilities.inputs],
    compute: ({ entry, key, namespace }, _, fetch): CatalogService | undefined => {
      const checked = fetch.get(entries.checked, entry);
      const ownNamespaceOnly = visibilities.of(namespace, fetch) !== 'PUBLIC';
      return checked && catalogServiceOfEntry(checked, key.slice(namespace.length + 1), ownNamespaceOnly);
    },
    equals: sameContent,
  });
  const byObject = new IndexCollection({
    name: 'service entries as routes name them, by object',
    scheduler,
    from: ofEntries,
    keysOf: ({ namespace, name }) => [`${namespace}/${name}`],
  });
  const byHostname = new IndexCollection({
    name: 'services as routes name them, by hostname',
    scheduler,
    from: new JoinedCollection({
      name: 'services of both kinds as routes name them',
      from: [ofServices, ofEntries],
    }),
    keysOf: ({ hostname }) => [hostname],
  });
  return {
    inputs: [ofServices, byObject, byHostname],
    with: (fetch) => ({
      object: (kind, namespace, name) => {
        const key = `${namespace}/${name}`;
        if (kind === 'ServiceEntry') return fetch.group(byObject, key);
        const service = fetch.get(ofServices, key);
        return service ? [service] : [];
      },
      named: (hostname) => fetch.group(byHostname, hostname),
    }),
  };
}
