/** Which webhooks want to be asked about a write. Pure. */
import { isObject, type JsonObject, listAt, objectAt, textAt, textsAt } from '../json.ts';
import { storageKeyOf } from '../kinds/resource.ts';
import { labelsOf, nameOf } from '../object.ts';
import type { AdmissionQuestion } from '../objects/context.ts';
import { labelSelectorOf, matchesLabels } from '../select/labels.ts';
import { hasConditions } from './webhook-configuration.ts';

/** One webhook of one configuration. */
export interface Webhook {
  readonly configuration: string;
  readonly name: string;
  readonly timeoutSeconds: number;
  /** Whether the write goes on when the webhook cannot be asked. */
  readonly ignoreFailure: boolean;
  readonly client: JsonObject;
  readonly rules: readonly JsonObject[];
  readonly namespaceSelector: JsonObject;
  readonly objectSelector: JsonObject;
}

/** Those that can be asked: none with conditions. */
export function webhooksOf(configuration: JsonObject): readonly Webhook[] {
  return listAt(configuration, 'webhooks')
    .filter(isObject)
    .filter((webhook) => !hasConditions(webhook))
    .map((webhook) => ({
      configuration: nameOf(configuration),
      name: textAt(webhook, 'name') ?? '',
      timeoutSeconds: Number(webhook['timeoutSeconds'] ?? 10),
      ignoreFailure: webhook['failurePolicy'] === 'Ignore',
      client: objectAt(webhook, 'clientConfig'),
      rules: listAt(webhook, 'rules').filter(isObject),
      namespaceSelector: objectAt(webhook, 'namespaceSelector'),
      objectSelector: objectAt(webhook, 'objectSelector'),
    }));
}

/** Webhooks are never asked about themselves: a broken one could not be removed. */
const EXEMPT = ['validatingwebhookconfigurations.admissionregistration.k8s.io'];

/** @param namespace - The object's namespace, as it is stored. */
export function wants(
  webhook: Webhook,
  question: AdmissionQuestion,
  namespace: JsonObject | undefined,
): boolean {
  if (EXEMPT.includes(storageKeyOf(question.resource))) return false;
  if (!webhook.rules.some((rule) => ruleMatches(rule, question))) return false;
  const space =
    storageKeyOf(question.resource) === 'namespaces' ? (question.object ?? question.oldObject) : namespace;
  if (space && !selects(webhook.namespaceSelector, space)) return false;
  return [question.object, question.oldObject].some(
    (object) => object !== undefined && selects(webhook.objectSelector, object),
  );
}

const selects = (selector: JsonObject, object: JsonObject): boolean =>
  matchesLabels(labelSelectorOf(selector), labelsOf(object));

function ruleMatches(rule: JsonObject, { resource, subresource, operation }: AdmissionQuestion): boolean {
  const has = (field: string, value: string) =>
    textsAt(rule, field).some((each) => each === '*' || each === value);
  const scope = textAt(rule, 'scope') ?? '*';
  const full = subresource === '' ? resource.plural : `${resource.plural}/${subresource}`;
  const named = textsAt(rule, 'resources').some(
    (pattern) =>
      pattern === full ||
      pattern === '*/*' ||
      (pattern === '*' && subresource === '') ||
      (pattern.startsWith('*/') && subresource !== '' && pattern.slice(2) === subresource) ||
      pattern === `${resource.plural}/*`,
  );
  return (
    has('operations', operation) &&
    has('apiGroups', resource.group) &&
    has('apiVersions', resource.version) &&
    named &&
    (scope === '*' || (scope === 'Namespaced') === resource.namespaced)
  );
}
