/**
 * Asks validating webhooks before a write, as AdmissionReview v1 over TLS.
 *
 * All that want to be asked are asked at once. One that refuses, or that must answer and cannot be asked, refuses the
 * write; nothing is stored before all have answered.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { userInfo } from '../access/user-info.ts';
import { StatusError } from '../errors.ts';
import { at, isObject, type JsonObject, numberAt, objectAt, textAt, textsAt } from '../json.ts';
import { WEBHOOK_TIMEOUT_SECONDS } from '../limits.ts';
import type { Admission, AdmissionQuestion } from '../objects/context.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { WebhookCaller } from './webhook-call.ts';
import { type Webhook, wants, webhooksOf } from './webhook-rules.ts';

const STORAGE = 'validatingwebhookconfigurations.admissionregistration.k8s.io';

export interface WebhookDependencies {
  readonly store: ObjectStore;
  readonly call: WebhookCaller;
  readonly log: Logger;
}

export function webhookAdmission(dependencies: WebhookDependencies): Admission {
  const { store } = dependencies;
  return async (question) => {
    const namespace = question.namespace === '' ? undefined : store.get('namespaces', question.namespace);
    const asked = store
      .list(STORAGE)
      .flatMap(webhooksOf)
      .filter((webhook) => wants(webhook, question, namespace));
    const answers = await Promise.all(asked.map((webhook) => ask(dependencies, webhook, question)));
    return answers.flat();
  };
}

async function ask(
  { call, log }: WebhookDependencies,
  webhook: Webhook,
  question: AdmissionQuestion,
): Promise<readonly string[]> {
  const uid = randomUUID();
  const timeoutMs = Math.min(Math.max(webhook.timeoutSeconds, 1), WEBHOOK_TIMEOUT_SECONDS) * 1_000;
  let response: JsonObject;
  try {
    response = responseOf(await call(webhook.client, reviewOf(question, uid), timeoutMs), uid);
  } catch (error) {
    const why = messageOf(error);
    if (webhook.ignoreFailure) {
      log.warn('webhook could not be asked, going on without', { webhook: webhook.name, error: why });
      return [];
    }
    throw new StatusError(
      'InternalError',
      `Internal error occurred: failed calling webhook ${JSON.stringify(webhook.name)}: failed to call webhook: ${why}`,
      { cause: error },
    );
  }
  if (at(response, 'allowed') !== true) throw refusal(webhook, response);
  return textsAt(response, 'warnings');
}

function refusal(webhook: Webhook, response: JsonObject): StatusError {
  const said = textAt(response, 'status', 'message') || textAt(response, 'status', 'reason');
  const code = numberAt(response, 'status', 'code');
  const status = code !== undefined && code >= 400 && code < 600 ? code : 403;
  const denied = `admission webhook ${JSON.stringify(webhook.name)} denied the request`;
  return new StatusError('Forbidden', said ? `${denied}: ${said}` : `${denied} without explanation`, {
    status,
  });
}

/** The response in what the webhook sent; it must be to our question. */
function responseOf(review: unknown, uid: string): JsonObject {
  const response = objectAt(review as JsonObject, 'response');
  if (
    textAt(review as JsonObject, 'kind') !== 'AdmissionReview' ||
    !isObject(at(review as JsonObject, 'response'))
  ) {
    throw new Error('the answer is no AdmissionReview with a response');
  }
  if (textAt(response, 'uid') !== uid)
    throw new Error('the answer is to another question: response.uid differs');
  return response;
}

function reviewOf(question: AdmissionQuestion, uid: string): JsonObject {
  const { resource, subresource, operation, namespace, name, object, oldObject, user, dryRun } = question;
  const { group, version, kind, plural } = resource;
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid,
      kind: { group, version, kind },
      resource: { group, version, resource: plural },
      ...(subresource !== '' && { subResource: subresource, requestSubResource: subresource }),
      requestKind: { group, version, kind },
      requestResource: { group, version, resource: plural },
      ...(name !== '' && { name }),
      ...(namespace !== '' && { namespace }),
      operation,
      userInfo: userInfo(user),
      object: object ?? null,
      oldObject: oldObject ?? null,
      dryRun,
      options: { kind: `${OPTIONS[operation]}Options`, apiVersion: 'meta.k8s.io/v1' },
    },
  };
}

const OPTIONS = { CREATE: 'Create', UPDATE: 'Update', DELETE: 'Delete' };
