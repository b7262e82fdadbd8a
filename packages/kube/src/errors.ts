/** What can go wrong between us and a Kubernetes API server. The status of an answer decides what a caller does next. */
import { MeshError, type Side } from '@ambit/core/errors';
import { MAX_ERROR_TEXT_CHARS } from './limits.ts';

/** The API server answered, and the answer is a refusal. */
export class KubeStatusError extends MeshError {
  readonly code = 'KUBE_STATUS';
  readonly side: Side;
  /** The HTTP status, or that of a watch's ERROR event. */
  readonly status: number;
  /** Kubernetes' word for it: `NotFound`, `Conflict`, `Expired`; empty if the answer had none. */
  readonly reason: string;
  /** What the server asked us to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(what: string, status: number, reason: string, message: string, retryAfterMs?: number) {
    super(`${what}: ${status}${reason ? ` ${reason}` : ''}${message ? `: ${message}` : ''}`);
    this.side = status >= 500 ? 'upstream' : 'downstream';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The API server could not be reached, or the connection broke before the answer was whole. */
export class KubeTransportError extends MeshError {
  readonly code = 'KUBE_TRANSPORT';
  readonly side = 'upstream';

  constructor(what: string, problem: string, options?: ErrorOptions) {
    super(`${what}: ${problem}`, options);
  }
}

/** What the API server sent is not what its protocol promises. */
export class KubeProtocolError extends MeshError {
  readonly code = 'KUBE_PROTOCOL';
  readonly side = 'upstream';
}

/** There is no usable way to an API server: no kubeconfig, no service account, a file that cannot be read. */
export class KubeConfigError extends MeshError {
  readonly code = 'KUBE_CONFIG';
  readonly side = 'internal';
}

/** No kubeconfig was found where it was looked for, which is most often a variable that was not set. */
export class NoKubeConfigError extends KubeConfigError {
  /** `undefined`: there was no place to look, as there is no home folder. */
  readonly path: string | undefined;

  constructor(path: string | undefined, options?: ErrorOptions) {
    super(
      path === undefined
        ? 'no way to a Kubernetes API: no kubeconfig and not running in a pod'
        : `there is no kubeconfig ${path}`,
      options,
    );
    this.path = path;
  }
}

/** The status of a refusal, or `undefined` for any other failure. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof KubeStatusError ? error.status : undefined;
}

export const isNotFound = (error: unknown): boolean => statusOf(error) === 404;
export const isConflict = (error: unknown): boolean => statusOf(error) === 409;

/** Whether the server no longer has the resource version or the list position that we named. */
export function isExpired(error: unknown): boolean {
  return error instanceof KubeStatusError && (error.status === 410 || error.reason === 'Expired');
}

/** What an answer with a failing status, or the object of an ERROR event, says. */
export function refusal(what: string, status: number, body: string, retryAfter?: string): KubeStatusError {
  const seconds = Number(retryAfter ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) ? Math.max(0, seconds * 1_000) : undefined;
  try {
    const parsed = JSON.parse(body) as { reason?: unknown; message?: unknown; code?: unknown } | null;
    const code = typeof parsed?.code === 'number' && status === 0 ? parsed.code : status;
    const message = String(parsed?.message ?? '').slice(0, MAX_ERROR_TEXT_CHARS);
    return new KubeStatusError(what, code, String(parsed?.reason ?? ''), message, retryAfterMs);
  } catch {
    return new KubeStatusError(what, status, '', body.slice(0, MAX_ERROR_TEXT_CHARS), retryAfterMs);
  }
}
