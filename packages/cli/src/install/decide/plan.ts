/**
 * What an installation would do to each object, found by comparing what is there with what the API server says that
 * applying would make of it. Defaults, and fields that others own, are therefore no difference.
 */
import type { KubeObject } from '@ambit/kube/resource';
import { MAX_CHANGES_SHOWN } from '../../limits.ts';
import type { CoOwner } from './co-owners.ts';
import { isSame } from './same.ts';
import { isOurs } from './ownership.ts';
import type { Part } from '../manifest.ts';

export type PlannedChange =
  | { readonly action: 'create' | 'unchanged' | 'remove'; readonly part: Part }
  | {
      readonly action: 'change';
      readonly part: Part;
      readonly fields: readonly string[];
      /** Who loses fields that keep their values; absent: nobody. */
      readonly owners?: readonly CoOwner[];
    }
  /** Every value stays; others lose fields. */
  | { readonly action: 'take-over'; readonly part: Part; readonly owners: readonly CoOwner[] }
  /** Somebody else's object that serves as well; it is left alone. */
  | { readonly action: 'keep'; readonly part: Part; readonly reason: string };

export type Action = PlannedChange['action'];

export interface Examined {
  readonly part: Part;
  readonly live: KubeObject | undefined;
  /** What applying would make of it; `undefined` if it cannot be tried yet, as its namespace is not there. */
  readonly applied: KubeObject | undefined;
  /** Whose fields are to be taken over. */
  readonly owners: readonly CoOwner[];
}

export function planned({ part, live, applied, owners }: Examined): PlannedChange {
  if (!live) return { action: 'create', part };
  const reason = reasonToKeep(part, live);
  if (reason !== undefined) return { action: 'keep', part, reason };
  const fields = applied ? changedFields(live, applied) : [];
  if (fields.length > 0) return { action: 'change', part, fields, ...(owners.length > 0 && { owners }) };
  return owners.length > 0 ? { action: 'take-over', part, owners } : { action: 'unchanged', part };
}

/** Objects that may be shared with another owner, who keeps them. */
export function reasonToKeep({ resource }: Pick<Part, 'resource'>, live: KubeObject): string | undefined {
  if (isOurs(live)) return undefined;
  if (resource.kind === 'Namespace') return 'it was there before';
  if (resource.kind === 'CustomResourceDefinition') return 'it was installed by somebody else';
  return undefined;
}

/** What the API server keeps for itself, and what says only that something was written. */
const BOOKKEEPING = new Set(['managedFields', 'resourceVersion', 'generation', 'creationTimestamp', 'uid']);

/** Counters of controllers, which follow every change. */
const COUNTERS = new Set(['deprecated.daemonset.template.generation', 'deployment.kubernetes.io/revision']);

function withoutBookkeeping({ metadata, ...rest }: KubeObject): object {
  const { annotations = {} } = metadata;
  const own = Object.entries(annotations).filter(([name]) => !COUNTERS.has(name));
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([key]) => key !== 'status')),
    metadata: {
      ...Object.fromEntries(Object.entries(metadata).filter(([key]) => !BOOKKEEPING.has(key))),
      annotations: Object.fromEntries(own),
    },
  };
}

/** Paths of the fields that differ, such as `spec.template.spec.containers.0.image`; a few of them. */
export function changedFields(live: KubeObject, applied: KubeObject): readonly string[] {
  const found: string[] = [];
  compare(withoutBookkeeping(live), withoutBookkeeping(applied), [], found);
  return found.slice(0, MAX_CHANGES_SHOWN);
}

function compare(a: unknown, b: unknown, path: readonly string[], found: string[]): void {
  if (found.length >= MAX_CHANGES_SHOWN || isSame(a, b)) return;
  if (!isTree(a) || !isTree(b) || Array.isArray(a) !== Array.isArray(b)) {
    found.push(path.join('.'));
    return;
  }
  const left = new Map<string, unknown>(Object.entries(a));
  const right = new Map<string, unknown>(Object.entries(b));
  for (const key of new Set([...left.keys(), ...right.keys()]))
    compare(left.get(key), right.get(key), [...path, key], found);
}

function isTree(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** `3 to create, 1 to change, 20 unchanged`; empty for an empty plan. */
export function countsOf(changes: readonly PlannedChange[]): string {
  const words: Readonly<Record<Action, string>> = {
    create: 'to create',
    change: 'to change',
    'take-over': 'to take over',
    remove: 'to remove',
    unchanged: 'unchanged',
    keep: 'of others, left alone',
  };
  return (Object.keys(words) as Action[])
    .map((action) => [changes.filter((change) => change.action === action).length, words[action]] as const)
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`)
    .join(', ');
}

export function isNoOp(changes: readonly PlannedChange[]): boolean {
  return changes.every(({ action }) => action === 'unchanged' || action === 'keep');
}
