/** One request from its headers to its answer: who asks, what for, may they, and then whoever does it. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { messageOf } from '@ambit/core/errors';
import { type Authenticator, bearerToken } from '../access/authenticate.ts';
import { type Attributes, authorize } from '../access/rbac.ts';
import type { User } from '../access/user.ts';
import { notFound, quoted, StatusError, statusOf } from '../errors.ts';
import type { PortForwards } from '../forward/port-forward.ts';
import { storageKeyOf, subjectOf } from '../kinds/resource.ts';
import { nameSelected } from '../select/fields.ts';
import { objectKey } from '../storage/store.ts';
import { decodeBody, mediaType, readBody } from './body.ts';
import { handlePath, type PathDependencies } from './path-handler.ts';
import { type RequestInfo, requestInfo, type ResourceRequest, verbOf } from './request-info.ts';
import { handleResource, type ResourceDependencies } from './resource-handler.ts';
import { asStatusError, type Reply, sendError, sendJson } from './respond.ts';
import { answerReview } from './reviews.ts';

export interface RouterDependencies extends ResourceDependencies, PathDependencies {
  readonly authenticator: Authenticator;
  readonly portForwards: PortForwards;
}

/** A request that is known, and allowed. */
export interface Admitted {
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly verb: string;
  readonly user: User;
}

/** Anybody may ask these, without a token: they say nothing but that the server lives, and which it is. */
const RUNNING: ReadonlySet<string> = new Set(['exec', 'attach']);
const PUBLIC = /^\/(?:healthz|livez|readyz|version)(?:\/|$)/;

export class Router {
  readonly #dependencies: RouterDependencies;

  constructor(dependencies: RouterDependencies) {
    this.#dependencies = dependencies;
  }

  /** Never rejects: what goes wrong becomes the answer. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply: Reply = { request, response, warnings: [] };
    try {
      const admitted = await this.admit(request);
      const { info, query, user, verb } = admitted;
      if (info.kind === 'path') handlePath(this.#dependencies, reply, info.path);
      else if (!(await this.#review(reply, info, user, verb))) {
        await handleResource(this.#dependencies, { ...reply, info, query, user, verb });
      }
    } catch (error) {
      if (!(error instanceof StatusError)) {
        this.#dependencies.context.log.error('request failed', {
          path: request.url,
          error: messageOf(error),
        });
      }
      sendError(reply, error);
    }
    if (!request.complete) request.resume();
  }

  /** A connection that wants to become something else: a port-forward, and nothing more. Never rejects. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const { info, query } = await this.admit(request);
      if (
        info.kind !== 'resource' ||
        storageKeyOf(info.resource) !== 'pods' ||
        info.subresource !== 'portforward'
      ) {
        throw new StatusError('BadRequest', upgradeRefusal(info));
      }
      const { namespace, name } = info;
      if (!this.#dependencies.context.store.get('pods', objectKey(namespace, name))) {
        throw notFound(subjectOf(info.resource, name));
      }
      this.#dependencies.portForwards.upgrade({ request, socket, head, query }, { namespace, name });
    } catch (error) {
      refuseUpgrade(socket, asStatusError(error));
    }
  }

  /** @throws 401, 403 or 404. */
  async admit(request: IncomingMessage): Promise<Admitted> {
    const { context } = this.#dependencies;
    const url = new URL(`https://host${request.url?.startsWith('/') ? request.url : '/'}`);
    const user = await this.#userOf(request, url.pathname);
    const info = requestInfo(context.registry, url.pathname);
    const verb = verbOf(request.method ?? 'GET', info, url.searchParams);
    const attributes = attributesOf(info, verb, url.searchParams);
    if (
      !(info.kind === 'path' && PUBLIC.test(info.path)) &&
      !authorize(context.store, user, attributes).allowed
    ) {
      throw denied(user, attributes);
    }
    return { info, query: url.searchParams, verb, user };
  }

  async #userOf(request: IncomingMessage, path: string): Promise<User> {
    const token = bearerToken(request.headers.authorization);
    if (token === undefined) {
      if (PUBLIC.test(path))
        return { name: 'system:anonymous', uid: '', groups: ['system:unauthenticated'], extra: {} };
      throw unauthorized();
    }
    const verdict = await this.#dependencies.authenticator.verify(token);
    if (!verdict.valid) throw unauthorized();
    return this.#impersonated(request, verdict.user);
  }

  /** `kubectl --as`: somebody acts as somebody else, where roles let them. */
  #impersonated(request: IncomingMessage, user: User): User {
    const name = request.headers['impersonate-user'];
    const groups = (request.headersDistinct['impersonate-group'] ?? [])
      .flatMap((group) => group.split(','))
      .map((group) => group.trim());
    if (typeof name !== 'string' || name === '') {
      if (groups.length > 0)
        throw new StatusError('BadRequest', 'requested groups without impersonating a user');
      return user;
    }
    const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
    const asked: readonly (readonly [resource: string, namespace: string, name: string])[] = [
      account ? ['serviceaccounts', account[1] ?? '', account[2] ?? ''] : ['users', '', name],
      ...groups.map((group) => ['groups', '', group] as const),
    ];
    for (const [resource, namespace, subject] of asked) {
      const attributes: Attributes = {
        kind: 'resource',
        verb: 'impersonate',
        group: '',
        resource,
        subresource: '',
        namespace,
        name: subject,
      };
      if (!authorize(this.#dependencies.context.store, user, attributes).allowed)
        throw denied(user, attributes);
    }
    const own = account ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : [];
    const all = [...new Set([...own, ...groups, 'system:authenticated'])];
    return { name, uid: '', groups: all, extra: {} };
  }

  async #review(reply: Reply, info: ResourceRequest, user: User, verb: string): Promise<boolean> {
    const { group } = info.resource;
    if (
      verb !== 'create' ||
      info.name !== '' ||
      (group !== 'authentication.k8s.io' && group !== 'authorization.k8s.io')
    ) {
      return false;
    }
    const body = decodeBody(await readBody(reply.request), mediaType(reply.request));
    const { context, authenticator } = this.#dependencies;
    const review = await answerReview(context, authenticator, info.resource, info.namespace, body, user);
    if (review) sendJson(reply, 201, review);
    return review !== undefined;
  }
}

/** `exec` and `attach` need somebody who runs the containers; here nobody does. */
function upgradeRefusal(info: RequestInfo): string {
  return info.kind === 'resource' && RUNNING.has(info.subresource)
    ? `${info.subresource} is not served by the embedded API`
    : 'only port-forwards to pods can be upgraded';
}

function refuseUpgrade(socket: Duplex, error: StatusError): void {
  const body = JSON.stringify(statusOf(error));
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const unauthorized = (): StatusError => new StatusError('Unauthorized', 'Unauthorized');

export function attributesOf(info: RequestInfo, verb: string, query: URLSearchParams): Attributes {
  if (info.kind === 'path') return { kind: 'path', verb, path: info.path };
  const { resource, namespace, name, subresource } = info;
  const isNamespace = storageKeyOf(resource) === 'namespaces';
  return {
    kind: 'resource',
    verb,
    group: resource.group,
    resource: resource.plural,
    subresource,
    // A namespace counts as being inside itself: a Role in it may allow to read it.
    namespace: isNamespace ? name : namespace,
    name: name === '' ? nameSelected(query) : name,
  };
}

function denied(user: User, attributes: Attributes): StatusError {
  const who = `User ${JSON.stringify(user.name)} cannot ${attributes.verb}`;
  if (attributes.kind === 'path') {
    return new StatusError('Forbidden', `forbidden: ${who} path ${JSON.stringify(attributes.path)}`);
  }
  const { group, resource, subresource, namespace, name } = attributes;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  const subject = { group, kind: resource, ...(name !== '' && { name }) };
  return new StatusError(
    'Forbidden',
    `${quoted(subject)} is forbidden: ${who} resource ${JSON.stringify(full)} in API group ${JSON.stringify(group)} ${where}`,
    { subject },
  );
}
