/**
 * Authorisation by Role objects: everything that no rule allows is forbidden. There are no deny rules.
 *
 * Reads the roles and bindings as they are stored at this moment, so a change counts from the next request on.
 */
import { isObject, type JsonObject, listAt, objectAt, textAt, textsAt } from '../json.ts';
import { labelsOf } from '../object.ts';
import { labelSelectorOf, matchesLabels } from '../select/labels.ts';
import type { ObjectStore } from '../storage/store.ts';
import { MASTERS, serviceAccountName, type User } from './user.ts';

const GROUP = 'rbac.authorization.k8s.io';

export interface ResourceAttributes {
  readonly kind: 'resource';
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  /** Empty: of the whole cluster. */
  readonly namespace: string;
  /** Empty: no particular one. */
  readonly name: string;
}

export interface PathAttributes {
  readonly kind: 'path';
  readonly verb: string;
  readonly path: string;
}

export type Attributes = ResourceAttributes | PathAttributes;

export interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
}

export interface Decision {
  readonly allowed: boolean;
  /** Which binding allowed it, or that none did. */
  readonly reason: string;
}

export function authorize(store: ObjectStore, user: User, attributes: Attributes): Decision {
  if (user.groups.includes(MASTERS)) return { allowed: true, reason: `member of ${MASTERS}` };
  const namespace = attributes.kind === 'resource' ? attributes.namespace : '';
  for (const { rules, because } of grantsOf(store, user, namespace)) {
    if (rules.some((rule) => ruleAllows(rule, attributes))) return { allowed: true, reason: because };
  }
  return { allowed: false, reason: '' };
}

/** All rules that hold for `user` in `namespace`. */
export function rulesFor(store: ObjectStore, user: User, namespace: string): readonly Rule[] {
  if (user.groups.includes(MASTERS)) return [EVERYTHING, EVERY_PATH];
  return grantsOf(store, user, namespace).flatMap(({ rules }) => rules);
}

const NONE = { apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: [] };
const EVERYTHING: Rule = { ...NONE, verbs: ['*'], apiGroups: ['*'], resources: ['*'] };
const EVERY_PATH: Rule = { ...NONE, verbs: ['*'], nonResourceURLs: ['*'] };

interface Grant {
  readonly rules: readonly Rule[];
  readonly because: string;
}

function grantsOf(store: ObjectStore, user: User, namespace: string): readonly Grant[] {
  const grant = (binding: JsonObject, kind: string, home: string): readonly Grant[] => {
    const bound = listAt(binding, 'subjects').some((subject) => isSubject(subject, user, home));
    if (!bound) return [];
    const role = `${textAt(binding, 'roleRef', 'kind')} "${textAt(binding, 'roleRef', 'name')}"`;
    const because = `RBAC: allowed by ${kind} "${textAt(binding, 'metadata', 'name')}" of ${role}`;
    return [{ rules: rulesOfRole(store, objectAt(binding, 'roleRef'), home), because }];
  };
  return [
    ...store
      .list(`clusterrolebindings.${GROUP}`)
      .flatMap((binding) => grant(binding, 'ClusterRoleBinding', '')),
    ...(namespace === '' ? [] : store.list(`rolebindings.${GROUP}`, namespace)).flatMap((binding) =>
      grant(binding, 'RoleBinding', namespace),
    ),
  ];
}

function isSubject(subject: unknown, user: User, home: string): boolean {
  if (!isObject(subject as JsonObject)) return false;
  const { kind, name, namespace } = subject as { kind?: unknown; name?: unknown; namespace?: unknown };
  if (kind === 'User') return name === user.name;
  if (kind === 'Group') return typeof name === 'string' && user.groups.includes(name);
  if (kind !== 'ServiceAccount') return false;
  return user.name === serviceAccountName(String(namespace ?? home), String(name));
}

export function rulesOfRole(store: ObjectStore, reference: JsonObject, namespace: string): readonly Rule[] {
  const name = textAt(reference, 'name') ?? '';
  if (textAt(reference, 'kind') === 'Role') {
    return readRules(store.get(`roles.${GROUP}`, `${namespace}/${name}`));
  }
  const role = store.get(`clusterroles.${GROUP}`, name);
  const selectors = listAt(role, 'aggregationRule', 'clusterRoleSelectors')
    .filter(isObject)
    .map(labelSelectorOf);
  if (selectors.length === 0) return readRules(role);
  return store
    .list(`clusterroles.${GROUP}`)
    .filter(
      (other) => other !== role && selectors.some((selector) => matchesLabels(selector, labelsOf(other))),
    )
    .flatMap(readRules);
}

export function readRules(role: JsonObject | undefined): readonly Rule[] {
  return listAt(role, 'rules').map((rule) => ({
    verbs: textsAt(rule, 'verbs'),
    apiGroups: textsAt(rule, 'apiGroups'),
    resources: textsAt(rule, 'resources'),
    resourceNames: textsAt(rule, 'resourceNames'),
    nonResourceURLs: textsAt(rule, 'nonResourceURLs'),
  }));
}

export function ruleAllows(rule: Rule, attributes: Attributes): boolean {
  if (!rule.verbs.includes('*') && !rule.verbs.includes(attributes.verb)) return false;
  if (attributes.kind === 'path') {
    return rule.nonResourceURLs.some((pattern) =>
      pattern.endsWith('*') ? attributes.path.startsWith(pattern.slice(0, -1)) : pattern === attributes.path,
    );
  }
  const { group, resource, subresource, name } = attributes;
  if (!rule.apiGroups.includes('*') && !rule.apiGroups.includes(group)) return false;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  const named = rule.resources.some(
    (pattern) =>
      pattern === '*' || pattern === full || (subresource !== '' && pattern === `*/${subresource}`),
  );
  return named && (rule.resourceNames.length === 0 || (name !== '' && rule.resourceNames.includes(name)));
}

/** Which of `wanted` the holder of `held` may not hand on, since it does not have it itself. */
export function beyond(held: readonly Rule[], wanted: readonly Rule[]): readonly Rule[] {
  return wanted.filter((rule) => !single(rule).every((part) => held.some((own) => covers(own, part))));
}

/** One rule as rules of one verb, group, resource and name each. */
function single(rule: Rule): readonly Rule[] {
  const names = rule.resourceNames.length > 0 ? rule.resourceNames.map((name) => [name]) : [[]];
  const resources = rule.verbs.flatMap((verb) =>
    rule.apiGroups.flatMap((group) =>
      rule.resources.flatMap((resource) =>
        names.map((resourceNames) => ({
          ...NONE,
          verbs: [verb],
          apiGroups: [group],
          resources: [resource],
          resourceNames,
        })),
      ),
    ),
  );
  const paths = rule.verbs.flatMap((verb) =>
    rule.nonResourceURLs.map((url) => ({ ...NONE, verbs: [verb], nonResourceURLs: [url] })),
  );
  return [...resources, ...paths];
}

function covers(own: Rule, part: Rule): boolean {
  const has = (mine: readonly string[], theirs: readonly string[]) =>
    theirs.every((item) => mine.includes('*') || mine.includes(item));
  if (!has(own.verbs, part.verbs)) return false;
  if (part.nonResourceURLs.length > 0) {
    return part.nonResourceURLs.every((url) =>
      own.nonResourceURLs.some(
        (mine) => mine === url || (mine.endsWith('*') && url.startsWith(mine.slice(0, -1))),
      ),
    );
  }
  if (!has(own.apiGroups, part.apiGroups) || !has(own.resources, part.resources)) return false;
  if (own.resourceNames.length === 0) return true;
  return part.resourceNames.length > 0 && has(own.resourceNames, part.resourceNames);
}
