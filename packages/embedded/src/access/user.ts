/** Who asks, as far as authorisation is concerned. */

export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** Whoever is in this group may do anything. */
export const MASTERS = 'system:masters';

/** The API server itself: its controllers and what it makes at start. */
export const SYSTEM: User = { name: 'system:apiserver', uid: '', groups: [MASTERS], extra: {} };

export const serviceAccountName = (namespace: string, name: string): string =>
  `system:serviceaccount:${namespace}:${name}`;

export const serviceAccountGroups = (namespace: string): readonly string[] => [
  'system:serviceaccounts',
  `system:serviceaccounts:${namespace}`,
  'system:authenticated',
];
