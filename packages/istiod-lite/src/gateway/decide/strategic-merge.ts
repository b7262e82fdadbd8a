/**
 * Strategic merge patch for the kinds that a waypoint consists of: a merge patch whose lists merge by a key, with
 * directives in fields that begin with `$`. Pure.
 *
 * `null` removes a field. `$patch: delete` removes an item, or the whole; `$patch: replace` puts the patch in its place.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** By which field items of a list are told apart, by the list's name; Kubernetes' own. Other lists are replaced whole. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  ephemeralContainers: 'name',
  hostAliases: 'ip',
  imagePullSecrets: 'name',
  initContainers: 'name',
  ownerReferences: 'uid',
  topologySpreadConstraints: 'topologyKey',
  volumeDevices: 'devicePath',
  volumeMounts: 'mountPath',
  volumes: 'name',
};
/** Of containers, and of Services. */
const PORT_KEYS = ['containerPort', 'port'] as const;
const DIRECTIVE = '$patch';

/** A patch that cannot be applied, and why. */
export class PatchProblem extends Error {}

/** @returns `undefined`: the patch deletes it. @throws {@link PatchProblem} */
export function strategicMerge(target: Fields, patch: Fields): Fields | undefined {
  const directive = patch[DIRECTIVE];
  if (directive === 'delete') return undefined;
  if (directive === 'replace') return withoutDirectives(patch) as Fields;
  if (directive !== undefined && directive !== 'merge')
    throw new PatchProblem(`$patch is delete, replace or merge, not ${JSON.stringify(directive)}`);
  const merged = new Map(Object.entries(target));
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith('$')) {
      if (name !== DIRECTIVE) throw new PatchProblem(`${name} is not supported`);
      continue;
    }
    const next = value === null ? undefined : mergeField(name, merged.get(name), value);
    if (next === undefined) merged.delete(name);
    else merged.set(name, next);
  }
  return Object.fromEntries(merged);
}

function mergeField(name: string, target: unknown, patch: unknown): unknown {
  if (isFields(patch)) return strategicMerge(isFields(target) ? target : {}, patch);
  if (!Array.isArray(patch)) return patch;
  const key = mergeKey(name, patch);
  return key === undefined
    ? withoutDirectives(patch)
    : mergeByKey(name, key, listOf(target), patch as readonly unknown[]);
}

function mergeKey(list: string, items: readonly unknown[]): string | undefined {
  if (list !== 'ports') return Object.hasOwn(MERGE_KEYS, list) ? MERGE_KEYS[list] : undefined;
  return PORT_KEYS.find((key) => items.some((item) => isFields(item) && key in item));
}

function mergeByKey(
  list: string,
  key: string,
  target: readonly unknown[],
  patch: readonly unknown[],
): readonly unknown[] {
  const isReplaced = patch.some((item) => isFields(item) && item[DIRECTIVE] === 'replace' && !(key in item));
  const items = patch.filter((item) => !(isFields(item) && item[DIRECTIVE] === 'replace' && !(key in item)));
  const [unkeyed, merged] = isReplaced ? [[], new Map<unknown, unknown>()] : byKey(key, target);
  for (const item of items) {
    if (!isFields(item) || item[key] === undefined)
      throw new PatchProblem(`each item of ${list} needs ${key}, by which it is found`);
    const known = merged.get(item[key]);
    const next = strategicMerge(isFields(known) ? known : {}, item);
    if (next) merged.set(item[key], next);
    else merged.delete(item[key]);
  }
  return [...unkeyed, ...merged.values()];
}

/** What nobody can name stays in front. */
function byKey(
  key: string,
  items: readonly unknown[],
): readonly [unkeyed: readonly unknown[], keyed: Map<unknown, unknown>] {
  const has = (item: unknown): item is Fields => isFields(item) && item[key] !== undefined;
  return [items.filter((item) => !has(item)), new Map(items.filter(has).map((item) => [item[key], item]))];
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (!isFields(value)) return value;
  const fields = Object.entries(value).filter(([name, field]) => !name.startsWith('$') && field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutDirectives(field)]));
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is no object has no fields. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
