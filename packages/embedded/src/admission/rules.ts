/**
 * What is particular to single kinds when they are created, changed and checked. A kind without a row here is stored
 * as its schema says.
 */
import type { FieldProblem } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';
import type { Context } from '../objects/context.ts';
import { crdRules } from './custom-resource-definition.ts';
import { namespaceRules, podRules, roleBindingRules, secretRules } from './plain-rules.ts';
import { serviceRules } from './service.ts';
import { webhookConfigurationRules } from './webhook-configuration.ts';

export interface KindRules {
  /** Completes a new object in place, before it is checked. May throw a `StatusError`. */
  readonly create?: (context: Context, object: JsonObject) => void;
  /** Completes a changed object in place. */
  readonly update?: (context: Context, next: JsonObject, current: JsonObject, subresource: string) => void;
  readonly problems?: (
    context: Context,
    object: JsonObject,
    previous: JsonObject | undefined,
  ) => readonly FieldProblem[];
  /** What the client should know about an object that is accepted. */
  readonly warnings?: (object: JsonObject) => readonly string[];
}

const RULES: Readonly<Record<string, KindRules>> = {
  namespaces: namespaceRules,
  pods: podRules,
  secrets: secretRules,
  services: serviceRules,
  'rolebindings.rbac.authorization.k8s.io': roleBindingRules,
  'clusterrolebindings.rbac.authorization.k8s.io': roleBindingRules,
  'customresourcedefinitions.apiextensions.k8s.io': crdRules,
  'validatingwebhookconfigurations.admissionregistration.k8s.io': webhookConfigurationRules,
};

const rulesOf = (resource: Resource): KindRules => RULES[storageKeyOf(resource)] ?? {};

export function finishCreate(context: Context, resource: Resource, object: JsonObject): void {
  rulesOf(resource).create?.(context, object);
}

export function finishUpdate(
  context: Context,
  resource: Resource,
  next: JsonObject,
  current: JsonObject,
  subresource: string,
): void {
  rulesOf(resource).update?.(context, next, current, subresource);
}

export function kindProblems(
  context: Context,
  resource: Resource,
  object: JsonObject,
  previous: JsonObject | undefined,
): readonly FieldProblem[] {
  return rulesOf(resource).problems?.(context, object, previous) ?? [];
}

export const kindWarnings = (resource: Resource, object: JsonObject): readonly string[] =>
  rulesOf(resource).warnings?.(object) ?? [];
