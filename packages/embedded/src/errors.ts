/**
 * Errors as Kubernetes words them: what goes wrong in a request becomes a `Status` with a code and a reason.
 *
 * Clients decide by `reason` and `code` (a 409 is retried, a 410 listed again), so those never change meaning.
 */
import { MeshError, type Side } from '@ambit/core/errors';
import type { Json, JsonObject } from './json.ts';

export type StatusReason =
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Invalid'
  | 'Expired'
  | 'Timeout'
  | 'TooManyRequests'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'UnsupportedMediaType'
  | 'RequestEntityTooLarge'
  | 'ServiceUnavailable'
  | 'InternalError';

const CODES: Readonly<Record<StatusReason, number>> = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  AlreadyExists: 409,
  Conflict: 409,
  Invalid: 422,
  Expired: 410,
  Timeout: 504,
  TooManyRequests: 429,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  UnsupportedMediaType: 415,
  RequestEntityTooLarge: 413,
  ServiceUnavailable: 503,
  InternalError: 500,
};

/** One thing that is wrong with an object, and where. */
export interface FieldProblem {
  readonly reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate'
    | 'FieldValueForbidden'
    | 'FieldValueTooLong'
    | 'FieldValueTypeInvalid'
    | 'FieldManagerConflict'
    | 'NamespaceTerminating';
  /** As people write it: `spec.ports[0].port`. */
  readonly field: string;
  readonly message: string;
}

/** What the request was about, in a `Status`. */
export interface StatusSubject {
  readonly group: string;
  /** The plural for most reasons, the kind for Invalid: as Kubernetes has it. */
  readonly kind: string;
  readonly name?: string;
  readonly uid?: string;
}

interface StatusParts {
  readonly subject?: StatusSubject;
  readonly causes?: readonly FieldProblem[];
  readonly retryAfterSeconds?: number;
  /** Instead of the reason's own code; a webhook may say so. */
  readonly status?: number;
  readonly cause?: unknown;
}

/** A request's failure. `status` is the HTTP status. */
export class StatusError extends MeshError {
  readonly code = 'KUBE_STATUS';
  readonly side: Side;
  readonly status: number;
  readonly reason: StatusReason;
  readonly subject: StatusSubject | undefined;
  readonly causes: readonly FieldProblem[];
  readonly retryAfterSeconds: number | undefined;

  constructor(reason: StatusReason, message: string, parts: StatusParts = {}) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.reason = reason;
    this.status = parts.status ?? CODES[reason];
    this.side = this.status >= 500 ? 'internal' : 'downstream';
    this.subject = parts.subject;
    this.causes = parts.causes ?? [];
    this.retryAfterSeconds = parts.retryAfterSeconds;
  }
}

/** `pods "a"`, `widgets.example.com "a"`: how Kubernetes names an object in a message. */
export function quoted(subject: StatusSubject): string {
  const kind = subject.group === '' ? subject.kind : `${subject.kind}.${subject.group}`;
  return subject.name === undefined ? kind : `${kind} ${JSON.stringify(subject.name)}`;
}

export const badRequest = (message: string): StatusError => new StatusError('BadRequest', message);

export const notFound = (subject: StatusSubject): StatusError =>
  new StatusError('NotFound', `${quoted(subject)} not found`, { subject });

export const alreadyExists = (subject: StatusSubject): StatusError =>
  new StatusError('AlreadyExists', `${quoted(subject)} already exists`, { subject });

export const conflict = (subject: StatusSubject, why: string): StatusError =>
  new StatusError('Conflict', `Operation cannot be fulfilled on ${quoted(subject)}: ${why}`, { subject });

export const OVERTAKEN =
  'the object has been modified; please apply your changes to the latest version and try again';

export const forbidden = (
  subject: StatusSubject,
  why: string,
  causes?: readonly FieldProblem[],
): StatusError =>
  new StatusError('Forbidden', `${quoted(subject)} is forbidden: ${why}`, {
    subject,
    ...(causes && { causes }),
  });

/** `Pod "a" is invalid: spec.x: Required value`; several problems stand in brackets. */
export function invalid(subject: StatusSubject, causes: readonly FieldProblem[]): StatusError {
  const texts = [...new Set(causes.map(({ field, message }) => `${field}: ${message}`))];
  const list = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  return new StatusError(
    'Invalid',
    `${quoted({ ...subject, name: subject.name ?? '' })} is invalid: ${list}`,
    {
      subject,
      causes,
    },
  );
}

export const expired = (wanted: number, oldest: number): StatusError =>
  new StatusError('Expired', `too old resource version: ${wanted} (${oldest})`);

/** The `Status` object that says `error`. */
export function statusOf(error: StatusError): JsonObject {
  const details: JsonObject = {};
  if (error.subject) {
    const { name, group, kind, uid } = error.subject;
    if (name !== undefined) details['name'] = name;
    if (group !== '') details['group'] = group;
    details['kind'] = kind;
    if (uid !== undefined) details['uid'] = uid;
  }
  if (error.causes.length > 0) {
    details['causes'] = error.causes.map(({ reason, message, field }): Json => ({ reason, message, field }));
  }
  if (error.retryAfterSeconds !== undefined) details['retryAfterSeconds'] = error.retryAfterSeconds;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: error.reason,
    ...(Object.keys(details).length > 0 && { details }),
    code: error.status,
  };
}

/** The embedded API would shadow a real cluster: we run inside one. */
export class InsideClusterError extends MeshError {
  readonly code = 'EMBEDDED_INSIDE_CLUSTER';
  readonly side = 'internal';

  constructor() {
    super(
      'KUBERNETES_SERVICE_HOST is set, so this runs in a pod of a Kubernetes cluster; the embedded API starts only where there is none',
    );
  }
}

/** What is kept in the folder cannot be read back, and going on would lose it. */
export class StorageError extends MeshError {
  readonly code = 'EMBEDDED_STORAGE';
  readonly side = 'internal';

  constructor(path: string, what: string, options?: ErrorOptions) {
    super(`${path}: ${what}`, options);
  }
}

/** An option that cannot be meant. */
export class EmbeddedOptionError extends MeshError {
  readonly code = 'EMBEDDED_OPTION';
  readonly side = 'internal';
}
