/** Who may see the ServiceEntries of each namespace. */
import type { GraphNode } from '@ambit/collections/collection';
import { derivedValues } from '@ambit/collections/derived';
import type { Fetch } from '@ambit/collections/fetch';
import { ONLY } from '@ambit/collections/singleton';
import type { EntryVisibility } from '../mesh-config/read.ts';
import { entryVisibility } from '../mesh-config/select.ts';
import type { GraphContext } from './context.ts';

export interface Visibilities {
  /** What a computation that calls the functions below must give as its inputs. */
  readonly inputs: readonly GraphNode[];
  of(namespace: string, fetch: Fetch): EntryVisibility;
  /** Whether the mesh's settings say anything of it. */
  isSaid(fetch: Fetch): boolean;
}

export function deriveVisibilities({ inputs, meshConfig, scheduler }: GraphContext): Visibilities {
  const visibilities = derivedValues({
    name: 'visibility of service entries',
    scheduler,
    from: inputs.namespaces,
    inputs: [meshConfig],
    compute: ({ metadata }, _, fetch) => entryVisibility(fetch.get(meshConfig, ONLY), metadata.labels),
  });
  return {
    inputs: [visibilities, meshConfig],
    // A namespace that is not known yet has no labels.
    of: (namespace, fetch) =>
      fetch.get(visibilities, namespace) ?? entryVisibility(fetch.get(meshConfig, ONLY), undefined),
    isSaid: (fetch) => fetch.get(meshConfig, ONLY)?.serviceEntryVisibility !== undefined,
  };
}
