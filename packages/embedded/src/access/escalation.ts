/**
 * Nobody hands on rights that they do not have: who writes a role, or binds one, must hold all that it allows, or be
 * allowed to `escalate` or to `bind` it. Otherwise whoever may write bindings could make themselves admin.
 */
import { forbidden } from '../errors.ts';
import { equal, isObject, type JsonObject, objectAt, textAt } from '../json.ts';
import { type Resource, subjectOf } from '../kinds/resource.ts';
import { nameOf, namespaceOf } from '../object.ts';
import type { ObjectStore } from '../storage/store.ts';
import { authorize, beyond, type Rule, readRules, rulesFor, rulesOfRole } from './rbac.ts';
import { MASTERS, type User } from './user.ts';

/** @throws a 403 that says which rules are too much. */
export function checkEscalation(
  store: ObjectStore,
  user: User,
  resource: Resource,
  next: JsonObject,
  previous: JsonObject | undefined,
): void {
  if (resource.group !== 'rbac.authorization.k8s.io' || user.groups.includes(MASTERS)) return;
  const namespace = namespaceOf(next);
  const binding = resource.plural.endsWith('rolebindings');
  const part = binding ? ['roleRef', 'subjects'] : ['rules', 'aggregationRule'];
  if (previous && part.every((field) => equal(next[field], previous[field]))) return;
  const reference = objectAt(next, 'roleRef');
  const name = binding ? (textAt(reference, 'name') ?? '') : nameOf(next);
  const plural = binding
    ? textAt(reference, 'kind') === 'Role'
      ? 'roles'
      : 'clusterroles'
    : resource.plural;
  const verb = binding ? 'bind' : 'escalate';
  const asked = {
    kind: 'resource',
    verb,
    group: resource.group,
    resource: plural,
    subresource: '',
    namespace,
    name,
  } as const;
  if (authorize(store, user, asked).allowed) return;
  const wanted = binding ? rulesOfRole(store, reference, namespace) : rulesOf(next);
  const tooMuch = beyond(rulesFor(store, user, namespace), wanted);
  if (tooMuch.length === 0) return;
  throw forbidden(
    subjectOf(resource, nameOf(next)),
    `user ${JSON.stringify(user.name)} (groups=${JSON.stringify(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${tooMuch.map(ruleText).join('\n')}`,
  );
}

/** An aggregated role may come to allow anything. */
const rulesOf = (role: JsonObject): readonly Rule[] =>
  isObject(role['aggregationRule'])
    ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [], nonResourceURLs: [] }]
    : readRules(role);

const ruleText = ({ apiGroups, resources, resourceNames, nonResourceURLs, verbs }: Rule): string =>
  JSON.stringify({
    ...(apiGroups.length > 0 && { APIGroups: apiGroups }),
    ...(resources.length > 0 && { Resources: resources }),
    ...(resourceNames.length > 0 && { ResourceNames: resourceNames }),
    ...(nonResourceURLs.length > 0 && { NonResourceURLs: nonResourceURLs }),
    Verbs: verbs,
  });
