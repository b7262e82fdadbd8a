/** The subresources that are not the object itself: tokens, bindings, evictions, logs, scale, port-forward. */
import type { Readable } from 'node:stream';
import type { ServiceAccountTokens } from '../access/service-account-tokens.ts';
import { badRequest, notFound, StatusError } from '../errors.ts';
import { isObject, type JsonObject } from '../json.ts';
import { storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { objectKey } from '../storage/store.ts';
import type { Context } from '../objects/context.ts';
import { readDeleteOptions, deleteObject } from '../objects/delete.ts';
import { updateObject } from '../objects/update.ts';
import { decodeBody, mediaType, readBody, readOptionalObject } from './body.ts';
import { type Call, methodNotAllowed, reply, writeOptionsOf } from './resource-handler.ts';
import { podLog } from './pod-log.ts';
import { bindPod } from './bind-pod.ts';
import { readScale, writeScale } from './scale.ts';
import { sendJson } from './respond.ts';
import { requestToken } from './token-request.ts';

/** What a pod printed, as its runtime keeps it. */
export type PodLogs = (
  pod: { readonly namespace: string; readonly name: string },
  options: PodLogOptions,
) => Promise<Readable>;

export interface PodLogOptions {
  /** Empty: the only one. */
  readonly container: string;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines?: number;
  readonly sinceSeconds?: number;
  readonly limitBytes?: number;
}

export interface SubresourceDependencies {
  readonly context: Context;
  readonly tokens: ServiceAccountTokens;
  readonly podLogs: PodLogs | undefined;
}

export async function handleSubresource(dependencies: SubresourceDependencies, call: Call): Promise<void> {
  const { info, verb } = call;
  const { context } = dependencies;
  const key = `${storageKeyOf(info.resource)}/${info.subresource}`;
  if (info.name === '')
    throw notFound({ group: '', kind: 'the server could not find the requested resource' });
  switch (key) {
    case 'serviceaccounts/token':
      if (verb !== 'create') throw methodNotAllowed();
      return await requestToken(dependencies, call);
    case 'pods/binding':
      if (verb !== 'create') throw methodNotAllowed();
      return await bindPod(context, call);
    case 'pods/eviction':
      if (verb !== 'create') throw methodNotAllowed();
      return await evict(context, call);
    case 'pods/log':
      if (verb !== 'get') throw methodNotAllowed();
      return await podLog(dependencies, call);
    case 'pods/portforward':
      throw new StatusError('BadRequest', 'Upgrade request required');
    case 'namespaces/finalize':
      if (verb !== 'update') throw methodNotAllowed();
      return await finalizeNamespace(context, call);
    default:
      if (info.subresource === 'scale' && info.resource.scale) return await scale(context, call);
      throw notFound({ group: '', kind: 'the server could not find the requested resource' });
  }
}

/** The object that the call's path names. */
export function storedObject(context: Context, call: Call): JsonObject {
  const { resource, namespace, name } = call.info;
  const object = context.store.get(storageKeyOf(resource), objectKey(namespace, name));
  if (!object) throw notFound(subjectOf(resource, name));
  return object;
}

async function evict(context: Context, call: Call): Promise<void> {
  const body = await readOptionalObject(call.request);
  const { resource, namespace, name } = call.info;
  const wish = readDeleteOptions(isObject(body['deleteOptions']) ? body['deleteOptions'] : {});
  await deleteObject(context, resource, namespace, name, wish, writeOptionsOf(call));
  sendJson(call, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

async function finalizeNamespace(context: Context, call: Call): Promise<void> {
  const body = decodeBody(await readBody(call.request), mediaType(call.request));
  if (!isObject(body)) throw badRequest('the object provided is not a Namespace');
  const { resource, name } = call.info;
  const finalizers = isObject(body['spec']) ? (body['spec']['finalizers'] ?? []) : [];
  const object = await updateObject(
    context,
    {
      resource,
      namespace: '',
      name,
      subresource: 'finalize',
      pinned: false,
      change: (current) => {
        const { finalizers: _, ...spec } = isObject(current['spec']) ? current['spec'] : {};
        const kept = Array.isArray(finalizers) && finalizers.length > 0 ? { ...spec, finalizers } : spec;
        return { ...structuredClone(current), spec: structuredClone(kept) };
      },
    },
    writeOptionsOf(call),
  );
  reply(context, call, 200, object);
}

async function scale(context: Context, call: Call): Promise<void> {
  if (call.verb === 'get')
    return sendJson(call, 200, readScale(call.info.resource, storedObject(context, call)));
  sendJson(call, 200, await writeScale(context, call));
}
