/** TokenRequest: a token for a service account, for an audience, bound to a pod where the client asks for that. */
import { ISSUER } from '../access/service-account-tokens.ts';
import { badRequest, conflict, invalid, notFound } from '../errors.ts';
import { isObject, numberAt, textAt, textsAt } from '../json.ts';
import { TOKEN_SECONDS_DEFAULT, TOKEN_SECONDS_MAX, TOKEN_SECONDS_MIN } from '../limits.ts';
import { nameOf, timestamp, uidOf } from '../object.ts';
import type { Context } from '../objects/context.ts';
import { decodeBody, mediaType, readBody } from './body.ts';
import type { Call } from './resource-handler.ts';
import { sendJson } from './respond.ts';
import { storedObject, type SubresourceDependencies } from './subresources.ts';

export async function requestToken({ context, tokens }: SubresourceDependencies, call: Call): Promise<void> {
  const body = decodeBody(await readBody(call.request), mediaType(call.request));
  if (!isObject(body)) throw badRequest('the object provided is not a TokenRequest');
  const account = storedObject(context, call);
  const asked = textsAt(body, 'spec', 'audiences');
  const audiences = asked.length > 0 ? asked : [ISSUER];
  const seconds = numberAt(body, 'spec', 'expirationSeconds') ?? TOKEN_SECONDS_DEFAULT;
  if (!Number.isInteger(seconds) || seconds < TOKEN_SECONDS_MIN) {
    throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest', name: '' }, [
      {
        reason: 'FieldValueInvalid',
        field: 'spec.expirationSeconds',
        message: `Invalid value: ${seconds}: may not specify a duration less than 10 minutes`,
      },
    ]);
  }
  const { namespace, name } = call.info;
  const bound = isObject(body['spec']) && isObject(body['spec']['boundObjectRef']);
  const pod = bound
    ? boundPod(context, call, textAt(body, 'spec', 'boundObjectRef', 'kind') ?? '', {
        name: textAt(body, 'spec', 'boundObjectRef', 'name') ?? '',
        uid: textAt(body, 'spec', 'boundObjectRef', 'uid') ?? '',
      })
    : undefined;
  const { token, expiresMs } = await tokens.sign(
    { namespace, name, uid: uidOf(account), ...pod },
    audiences,
    Math.min(seconds, TOKEN_SECONDS_MAX),
  );
  sendJson(call, 201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, creationTimestamp: timestamp(context.clock.now()) },
    spec: { ...(body['spec'] as object), audiences, expirationSeconds: Math.min(seconds, TOKEN_SECONDS_MAX) },
    status: { token, expirationTimestamp: timestamp(expiresMs) },
  });
}

function boundPod(
  context: Context,
  call: Call,
  kind: string,
  reference: { readonly name: string; readonly uid: string },
) {
  if (kind !== 'Pod') {
    throw badRequest(
      `cannot bind token to object of type ${JSON.stringify(kind)}: the embedded API binds tokens to pods alone`,
    );
  }
  const subject = { group: '', kind: 'pods', name: reference.name };
  const pod = context.store.get('pods', `${call.info.namespace}/${reference.name}`);
  if (!pod) throw notFound(subject);
  if (reference.uid !== '' && reference.uid !== uidOf(pod)) {
    throw conflict(
      subject,
      `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  if (textAt(pod, 'spec', 'serviceAccountName') !== call.info.name) {
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(call.info.name)} to pod running with different serviceaccount name.`,
    );
  }
  const nodeName = textAt(pod, 'spec', 'nodeName');
  const node = nodeName ? context.store.get('nodes', nodeName) : undefined;
  return {
    pod: { name: nameOf(pod), uid: uidOf(pod) },
    ...(nodeName && { node: { name: nodeName, uid: node ? uidOf(node) : '' } }),
  };
}
