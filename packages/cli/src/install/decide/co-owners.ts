/**
 * Who else owns fields that we apply, by what the API server notes in managedFields, and those notes without them. Pure.
 *
 * A forced apply takes a field from others only where it changes the value. Whoever has set the same value owns the field
 * beside us from then on, and is in the way of the next change of it.
 */
import type { KubeObject } from '@ambit/kube/resource';
import { type JsonObject, listOf, objectOf, textOf } from '../../json-value.ts';

export interface CoOwner {
  readonly manager: string;
  /** As the API server names fields: `.spec.template.spec.containers[name="istiod"].image`. */
  readonly fields: readonly string[];
}

export interface TakenOver {
  readonly owners: readonly CoOwner[];
  /** To be written in place of those that there are. */
  readonly managedFields: readonly JsonObject[];
}

/** A place in FieldsV1, and whether it is itself among the fields. */
interface Place {
  readonly owned: boolean;
  readonly below: ReadonlyMap<string, JsonObject>;
}

/** What the control plane writes at run time stays its own beside us: see `withRuntimeFields`. */
const RUNTIME_FIELDS: Readonly<Record<string, ReadonlySet<string>>> = {
  ValidatingWebhookConfiguration: new Set(['f:failurePolicy']),
};

/** @returns `undefined` if `manager` alone owns what it applies. */
export function takeOver(object: KubeObject, manager: string): TakenOver | undefined {
  const entries = listOf(objectOf(object.metadata)['managedFields']).map(objectOf);
  const isOurs = (entry: JsonObject) => entry['manager'] === manager && entry['operation'] === 'Apply';
  const ours = entries.find((entry) => isOurs(entry) && textOf(entry['subresource']) === '');
  if (!ours) return undefined;
  const wanted = objectOf(ours['fieldsV1']);
  const spared = RUNTIME_FIELDS[object.kind ?? ''] ?? new Set<string>();
  const owners = new Map<string, string[]>();
  const managedFields = entries.flatMap((entry) => {
    if (isOurs(entry)) return [entry];
    const taken: string[] = [];
    const left = without(objectOf(entry['fieldsV1']), wanted, spared, '', taken);
    if (taken.length === 0) return [entry];
    const name = textOf(entry['manager']);
    owners.set(name, [...(owners.get(name) ?? []), ...taken]);
    return left ? [{ ...entry, fieldsV1: left }] : [];
  });
  if (owners.size === 0) return undefined;
  return { owners: [...owners].map(([name, fields]) => ({ manager: name, fields })), managedFields };
}

/**
 * @param taken - Gets the places that both have.
 * @returns what is left of `theirs`; `undefined` if nothing is.
 */
function without(
  theirs: JsonObject,
  ours: JsonObject,
  spared: ReadonlySet<string>,
  path: string,
  taken: string[],
): JsonObject | undefined {
  const [theirPlace, ourPlace] = [placeOf(theirs), placeOf(ours)];
  const isTaken = theirPlace.owned && ourPlace.owned;
  if (isTaken) taken.push(path);
  const left: Record<string, JsonObject> = {};
  for (const [key, value] of theirPlace.below) {
    const own = spared.has(key) ? undefined : ourPlace.below.get(key);
    const rest = own ? without(value, own, spared, `${path}${elementText(key)}`, taken) : value;
    if (rest) left[key] = rest;
  }
  const staysOwner = theirPlace.owned && !isTaken;
  if (Object.keys(left).length === 0) return staysOwner ? {} : undefined;
  return staysOwner ? { '.': {}, ...left } : left;
}

/** A place without anything below it is a field; one with something below says so by `.`. */
function placeOf(fields: JsonObject): Place {
  const below = new Map(
    Object.entries(fields).flatMap(([key, value]) => (key === '.' ? [] : [[key, objectOf(value)] as const])),
  );
  return { owned: below.size === 0 || Object.hasOwn(fields, '.'), below };
}

function elementText(element: string): string {
  const text = element.slice(2);
  if (element.startsWith('f:')) return `.${text}`;
  if (!element.startsWith('k:')) return `[${element.startsWith('v:') ? '=' : ''}${text}]`;
  const keys = Object.entries(objectOf(parsed(text)));
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
