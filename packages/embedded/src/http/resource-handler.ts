/** Requests for objects: from a verb and a path to an operation, and its answer. */
import { badRequest, notFound, StatusError } from '../errors.ts';
import { isObject, type Json, type JsonObject } from '../json.ts';
import { groupVersionOf, storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { nameOf, namespaceOf, uidOf } from '../object.ts';
import type { Context, WriteOptions } from '../objects/context.ts';
import { createObject } from '../objects/create.ts';
import { type Deleted, deleteObject, readDeleteOptions } from '../objects/delete.ts';
import { checkListVersion, listObjects } from '../objects/list.ts';
import { patchObject } from '../objects/patch.ts';
import { readObject } from '../objects/read-object.ts';
import { updateObject } from '../objects/update.ts';
import type { User } from '../access/user.ts';
import { parseFieldSelector } from '../select/fields.ts';
import { parseLabelSelector } from '../select/labels.ts';
import { objectKey } from '../storage/store.ts';
import { decodeBody, mediaType, readBody, readOptionalObject } from './body.ts';
import { presentationOf, presentList, presentOne } from './present.ts';
import { isTrue, type ResourceRequest } from './request-info.ts';
import { type Reply, sendJson, warningHeader } from './respond.ts';
import { handleSubresource, type SubresourceDependencies } from './subresources.ts';
import type { Watches } from './watch.ts';

export interface Call extends Reply {
  readonly info: ResourceRequest;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly verb: string;
}

export interface ResourceDependencies extends SubresourceDependencies {
  readonly context: Context;
  readonly watches: Watches;
}

export async function handleResource(dependencies: ResourceDependencies, call: Call): Promise<void> {
  const { info, verb } = call;
  const { resource, subresource } = info;
  if (resource.namespaced && info.namespace === '' && (info.name !== '' || verb === 'create')) {
    throw badRequest(`${resource.plural} are in namespaces: the path must name one`);
  }
  if (subresource !== '' && subresource !== 'status') return await handleSubresource(dependencies, call);
  if (subresource === 'status' && !resource.hasStatus) throw notFound(subjectOf(resource, info.name));
  if (!(resource.verbs as readonly string[]).includes(verb)) throw methodNotAllowed();
  switch (verb) {
    case 'get':
      return get(dependencies, call);
    case 'list':
      return list(dependencies, call);
    case 'watch':
      return watch(dependencies, call);
    case 'create':
      if (info.name !== '' && subresource === '') throw methodNotAllowed();
      return await create(dependencies, call);
    case 'update':
      return await update(dependencies, call);
    case 'patch':
      return await patch(dependencies, call);
    case 'delete':
      if (subresource !== '') throw methodNotAllowed();
      return await remove(dependencies, call);
    case 'deletecollection':
      return await removeAll(dependencies, call);
    default:
      throw methodNotAllowed();
  }
}

export const methodNotAllowed = (): StatusError =>
  new StatusError('MethodNotAllowed', 'the server does not allow this method on the requested resource');

function get({ context }: ResourceDependencies, call: Call): void {
  const { resource, namespace, name } = call.info;
  const object = context.store.get(storageKeyOf(resource), objectKey(namespace, name));
  if (!object) throw notFound(subjectOf(resource, name));
  reply(context, call, 200, object);
}

function list({ context }: ResourceDependencies, call: Call): void {
  const { info, query } = call;
  const limit = wholeNumber(query, 'limit') ?? 0;
  const continueToken = query.get('continue') ?? '';
  if (continueToken === '')
    checkListVersion(context.store, query.get('resourceVersion'), query.get('resourceVersionMatch'));
  const page = listObjects(context.store, { ...selectionOf(call), limit, continueToken });
  const presentation = presentationOf(call.request.headers.accept ?? '', query);
  sendJson(
    call,
    200,
    presentList(info.resource, page.objects, page.metadata, presentation, context.clock.now()),
  );
}

/** A watch of one object is a watch of the collection with that name selected. */
function watch({ context, watches }: ResourceDependencies, call: Call): void {
  const { info, query, response } = call;
  const presentation = presentationOf(call.request.headers.accept ?? '', query);
  const since = wholeNumber(query, 'resourceVersion');
  const timeoutSeconds = wholeNumber(query, 'timeoutSeconds');
  let first = true;
  watches.open(
    response,
    {
      ...selectionOf(call),
      since,
      timeoutSeconds: timeoutSeconds || undefined,
      bookmarks: isTrue(query.get('allowWatchBookmarks')),
      initialEvents: isTrue(query.get('sendInitialEvents')),
      present: (object) => {
        const shown = presentOne(info.resource, object, presentation, context.clock.now());
        // The columns are said once; kubectl wants them empty afterwards.
        if (presentation.form === 'table' && !first) shown['columnDefinitions'] = [];
        first = false;
        return shown;
      },
    },
    warningHeader(call.warnings),
  );
}

async function create({ context }: ResourceDependencies, call: Call): Promise<void> {
  const body = decodeBody(await readBody(call.request), mediaType(call.request));
  const options = writeOptionsOf(call);
  const object = await createObject(context, call.info.resource, call.info.namespace, body, options);
  reply(context, call, 201, object);
}

async function update({ context }: ResourceDependencies, call: Call): Promise<void> {
  const { resource, namespace, name, subresource } = call.info;
  const body = decodeBody(await readBody(call.request), mediaType(call.request));
  const options = writeOptionsOf(call);
  checkNames(call, body);
  if (resource.custom && isObject(body) && !metadataText(body, 'resourceVersion')) {
    throw new StatusError(
      'Invalid',
      `${resource.kind}.${resource.group} ${JSON.stringify(name)} is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`,
      {
        subject: { group: resource.group, kind: resource.kind, name },
        causes: [
          {
            reason: 'FieldValueInvalid',
            field: 'metadata.resourceVersion',
            message: 'Invalid value: 0: must be specified for an update',
          },
        ],
      },
    );
  }
  const warned: string[] = [];
  const object = await updateObject(
    context,
    {
      resource,
      namespace,
      name,
      subresource: subresource === 'status' ? 'status' : '',
      pinned: isObject(body) && metadataText(body, 'resourceVersion') !== '',
      change: () => readObject(resource, body, { ...options, warnings: warned }),
    },
    options,
  );
  call.warnings.push(...warned);
  reply(context, call, 200, object);
}

async function patch({ context }: ResourceDependencies, call: Call): Promise<void> {
  const { resource, namespace, name, subresource } = call.info;
  const type = mediaType(call.request);
  const body = await readBody(call.request);
  const { object, created } = await patchObject(
    context,
    {
      resource,
      namespace,
      name,
      subresource: subresource === 'status' ? 'status' : '',
      type,
      patch: decodeBody(body, type),
      force: isTrue(call.query.get('force')),
    },
    writeOptionsOf(call),
  );
  reply(context, call, created ? 201 : 200, object);
}

async function remove({ context }: ResourceDependencies, call: Call): Promise<void> {
  const { resource, namespace, name } = call.info;
  const wish = readDeleteOptions(await deleteBody(call));
  const deleted = await deleteObject(context, resource, namespace, name, wish, writeOptionsOf(call));
  sendJson(call, 200, deletionAnswer(context, call, deleted));
}

function deletionAnswer(context: Context, call: Call, { object, gone }: Deleted): JsonObject {
  const { resource } = call.info;
  if (!gone || resource.answersDeleted) {
    const presentation = presentationOf(call.request.headers.accept ?? '', call.query);
    return presentOne(resource, object, presentation, context.clock.now());
  }
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: nameOf(object),
      ...(resource.group !== '' && { group: resource.group }),
      kind: resource.plural,
      uid: uidOf(object),
    },
  };
}

async function removeAll({ context }: ResourceDependencies, call: Call): Promise<void> {
  const { resource } = call.info;
  const wish = readDeleteOptions(await deleteBody(call));
  const options = writeOptionsOf(call);
  const page = listObjects(context.store, { ...selectionOf(call), limit: 0, continueToken: '' });
  const objects: JsonObject[] = [];
  for (const object of page.objects) {
    try {
      const { object: last } = await deleteObject(
        context,
        resource,
        namespaceOf(object),
        nameOf(object),
        wish,
        options,
      );
      objects.push(last);
    } catch (error) {
      if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error;
    }
  }
  const presentation = presentationOf(call.request.headers.accept ?? '', call.query);
  sendJson(call, 200, presentList(resource, objects, page.metadata, presentation, context.clock.now()));
}

/** `DeleteOptions` come in the body or in the query. */
async function deleteBody(call: Call): Promise<JsonObject> {
  const body = await readOptionalObject(call.request);
  const grace = wholeNumber(call.query, 'gracePeriodSeconds');
  if (grace !== undefined) body['gracePeriodSeconds'] ??= grace;
  const propagation = call.query.get('propagationPolicy');
  if (propagation !== null) body['propagationPolicy'] ??= propagation;
  const dryRun = body['dryRun'];
  if (Array.isArray(dryRun) && dryRun.length > 0) call.query.set('dryRun', String(dryRun[0]));
  return body;
}

/** Answers with one object in the form that the client asked for. */
export function reply(context: Context, call: Call, status: number, object: JsonObject): void {
  const presentation = presentationOf(call.request.headers.accept ?? '', call.query);
  sendJson(call, status, presentOne(call.info.resource, object, presentation, context.clock.now()));
}

function selectionOf({ info, query }: Call) {
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '', info.resource);
  return {
    resource: info.resource,
    namespace: info.namespace,
    labels: parseLabelSelector(query.get('labelSelector') ?? ''),
    fields:
      info.name === '' ? fields : [...fields, { field: 'metadata.name', equals: true, value: info.name }],
  };
}

export function writeOptionsOf(call: Call): WriteOptions {
  const { query, request } = call;
  const dryRun = query.get('dryRun') ?? '';
  if (dryRun !== '' && dryRun !== 'All') {
    throw badRequest(`Invalid value: ${JSON.stringify(dryRun)}: dryRun: supported values: "All"`);
  }
  const validation = query.get('fieldValidation') || 'Warn';
  if (validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict') {
    throw badRequest(
      `fieldValidation: Unsupported value: ${JSON.stringify(validation)}: supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  const manager = query.get('fieldManager') ?? '';
  if (manager.length > 128) throw badRequest('fieldManager: Too long: may not be more than 128 bytes');
  const agent = (request.headers['user-agent'] ?? '').split('/')[0]?.slice(0, 128);
  return {
    user: call.user,
    dryRun: dryRun !== '',
    fieldManager: manager || agent || 'unknown',
    fieldValidation: validation,
    warnings: call.warnings,
  };
}

const metadataText = (body: JsonObject, field: string): string => {
  const metadata = body['metadata'];
  const value = isObject(metadata) ? metadata[field] : undefined;
  return typeof value === 'string' ? value : '';
};

/** What a PUT says about itself must be what its path says. */
function checkNames({ info }: Call, body: Json): void {
  if (!isObject(body))
    throw badRequest(`the object provided is not a ${groupVersionOf(info.resource)} ${info.resource.kind}`);
  const name = metadataText(body, 'name');
  if (name !== info.name) {
    throw badRequest(
      name === ''
        ? 'name must be provided'
        : `the name of the object (${name}) does not match the name on the URL (${info.name})`,
    );
  }
  const namespace = metadataText(body, 'namespace');
  if (namespace !== '' && namespace !== info.namespace) {
    throw badRequest(
      `the namespace of the object (${namespace}) does not match the namespace on the request (${info.namespace})`,
    );
  }
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) {
    throw badRequest(`Invalid value: ${JSON.stringify(text)}: ${name} must be a whole number, 0 or more`);
  }
  return number;
}
