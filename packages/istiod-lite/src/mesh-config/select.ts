/** What the mesh's settings say of one namespace. Pure. */
import { type Labels, selects } from '@ambit/kube/label-selector';
import type { EntryVisibility, MeshConfig } from './read.ts';

/** Whether every namespace is looked at, known or not. */
export function discoversAll(config: MeshConfig | undefined): boolean {
  return (config?.discoverySelectors ?? []).length === 0;
}

export function discovers(config: MeshConfig | undefined, labels: Labels | undefined): boolean {
  return (
    discoversAll(config) || (config?.discoverySelectors ?? []).some((selector) => selects(selector, labels))
  );
}

/** Who may see the ServiceEntries of a namespace: what the first policy says whose rules all match. */
export function entryVisibility(config: MeshConfig | undefined, labels: Labels | undefined): EntryVisibility {
  const { policies = [], defaultVisibility } = config?.serviceEntryVisibility ?? {};
  const policy = policies.find(({ matchingRules = [] }) =>
    // A rule of a kind that is not known matches nothing.
    matchingRules.every(({ namespaceSelector }) => selects(namespaceSelector, labels)),
  );
  const said = policy ? policy.visibility : defaultVisibility;
  return said === 'NAMESPACE' || said === 'NONE' ? said : 'PUBLIC';
}
