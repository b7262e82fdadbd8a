/** Questions to the API about itself: whose token is this, may they do that, what may I do. Nothing is stored. */
import type { Authenticator } from '../access/authenticate.ts';
import { type Attributes, authorize, rulesFor } from '../access/rbac.ts';
import type { User } from '../access/user.ts';
import { userInfo } from '../access/user-info.ts';
import { badRequest } from '../errors.ts';
import { isObject, type Json, type JsonObject, objectAt, textAt, textsAt } from '../json.ts';
import { groupVersionOf, type Resource } from '../kinds/resource.ts';
import type { Context } from '../objects/context.ts';

/** @returns the review with its status; `undefined` for a resource that is no review. */
export async function answerReview(
  context: Context,
  authenticator: Authenticator,
  resource: Resource,
  namespace: string,
  body: Json,
  user: User,
): Promise<JsonObject | undefined> {
  if (resource.group !== 'authentication.k8s.io' && resource.group !== 'authorization.k8s.io')
    return undefined;
  if (!isObject(body)) throw badRequest(`the object provided is not a ${resource.kind}`);
  const spec = objectAt(body, 'spec');
  return {
    kind: resource.kind,
    apiVersion: groupVersionOf(resource),
    metadata: { creationTimestamp: null },
    spec,
    status: await statusFor(context, authenticator, resource.kind, namespace, spec, user),
  };
}

async function statusFor(
  { store }: Context,
  authenticator: Authenticator,
  kind: string,
  namespace: string,
  spec: JsonObject,
  user: User,
): Promise<JsonObject> {
  switch (kind) {
    case 'TokenReview':
      return await tokenStatus(authenticator, spec);
    case 'SelfSubjectReview':
      return { userInfo: userInfo(user) };
    case 'SelfSubjectRulesReview':
      return rulesStatus(rulesFor(store, user, textAt(spec, 'namespace') ?? ''));
    case 'SelfSubjectAccessReview':
      return accessStatus(authorize(store, user, attributesOf(spec)));
    case 'LocalSubjectAccessReview':
      if (textAt(spec, 'resourceAttributes', 'namespace') !== namespace) {
        throw badRequest('spec.resourceAttributes.namespace must be the namespace of the review');
      }
      return accessStatus(authorize(store, subjectOf(spec), attributesOf(spec)));
    case 'SubjectAccessReview':
      return accessStatus(authorize(store, subjectOf(spec), attributesOf(spec)));
    default:
      throw badRequest(`${kind} cannot be created`);
  }
}

async function tokenStatus(authenticator: Authenticator, spec: JsonObject): Promise<JsonObject> {
  const token = textAt(spec, 'token') ?? '';
  if (token === '') throw badRequest('spec.token: Required value');
  const verdict = await authenticator.verify(token, textsAt(spec, 'audiences'));
  if (!verdict.valid) return { user: {}, error: `[invalid bearer token, ${verdict.reason}]` };
  return { authenticated: true, user: userInfo(verdict.user), audiences: [...verdict.audiences] };
}

function subjectOf(spec: JsonObject): User {
  const name = textAt(spec, 'user') ?? '';
  const groups = textsAt(spec, 'groups');
  if (name === '' && groups.length === 0)
    throw badRequest('spec.user: at least one of user or group must be specified');
  const extra = Object.fromEntries(
    Object.keys(objectAt(spec, 'extra')).map((key) => [key, textsAt(spec, 'extra', key)]),
  );
  return { name, uid: textAt(spec, 'uid') ?? '', groups, extra };
}

function attributesOf(spec: JsonObject): Attributes {
  const path = spec['nonResourceAttributes'];
  const resource = spec['resourceAttributes'];
  if (isObject(path) === isObject(resource)) {
    throw badRequest('spec: exactly one of nonResourceAttributes or resourceAttributes must be specified');
  }
  if (isObject(path))
    return { kind: 'path', verb: textAt(path, 'verb') ?? '', path: textAt(path, 'path') ?? '' };
  return {
    kind: 'resource',
    verb: textAt(resource, 'verb') ?? '',
    group: textAt(resource, 'group') ?? '',
    resource: textAt(resource, 'resource') ?? '',
    subresource: textAt(resource, 'subresource') ?? '',
    namespace: textAt(resource, 'namespace') ?? '',
    name: textAt(resource, 'name') ?? '',
  };
}

const accessStatus = ({
  allowed,
  reason,
}: {
  readonly allowed: boolean;
  readonly reason: string;
}): JsonObject => ({
  allowed,
  ...(reason !== '' && { reason }),
});

function rulesStatus(rules: ReturnType<typeof rulesFor>): JsonObject {
  return {
    incomplete: false,
    resourceRules: rules
      .filter(({ resources }) => resources.length > 0)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs: [...verbs],
        apiGroups: [...apiGroups],
        resources: [...resources],
        ...(resourceNames.length > 0 && { resourceNames: [...resourceNames] }),
      })),
    nonResourceRules: rules
      .filter(({ nonResourceURLs }) => nonResourceURLs.length > 0)
      .map(({ verbs, nonResourceURLs }) => ({ verbs: [...verbs], nonResourceURLs: [...nonResourceURLs] })),
  };
}
