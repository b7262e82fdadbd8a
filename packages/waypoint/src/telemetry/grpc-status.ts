/** The gRPC status of a response: what its trailers say, or what its HTTP status stands for. Pure. */
import { fieldValue } from '@ambit/http/header-fields';
import { isGrpc, type RequestRecord } from './record.ts';

/** By number. */
const NAMES: readonly (readonly [camel: string, snake: string])[] = [
  ['OK', 'OK'],
  ['Canceled', 'CANCELLED'],
  ['Unknown', 'UNKNOWN'],
  ['InvalidArgument', 'INVALID_ARGUMENT'],
  ['DeadlineExceeded', 'DEADLINE_EXCEEDED'],
  ['NotFound', 'NOT_FOUND'],
  ['AlreadyExists', 'ALREADY_EXISTS'],
  ['PermissionDenied', 'PERMISSION_DENIED'],
  ['ResourceExhausted', 'RESOURCE_EXHAUSTED'],
  ['FailedPrecondition', 'FAILED_PRECONDITION'],
  ['Aborted', 'ABORTED'],
  ['OutOfRange', 'OUT_OF_RANGE'],
  ['Unimplemented', 'UNIMPLEMENTED'],
  ['Internal', 'INTERNAL'],
  ['Unavailable', 'UNAVAILABLE'],
  ['DataLoss', 'DATA_LOSS'],
  ['Unauthenticated', 'UNAUTHENTICATED'],
];

const UNKNOWN = 2;
/** What a gRPC client makes of an HTTP status that came without one of gRPC. */
const BY_HTTP_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};

/** `undefined` for what is not gRPC, or when no response was sent. */
export function grpcStatusOf({
  request,
  status,
  trailers,
  responseFields,
}: RequestRecord): number | undefined {
  if (status === 0 || !isGrpc(request.fields)) return undefined;
  const text = (trailers && fieldValue(trailers, 'grpc-status')) ?? fieldValue(responseFields, 'grpc-status');
  if (text === undefined) return status === 200 ? undefined : (BY_HTTP_STATUS[status] ?? UNKNOWN);
  return /^\d{1,9}$/.test(text) ? Number(text) : UNKNOWN;
}

/** @param form - As Envoy's operator takes it. */
export function grpcStatusName(status: number, form: 'CAMEL_STRING' | 'SNAKE_STRING' | 'NUMBER'): string {
  const name = NAMES[status];
  if (!name || form === 'NUMBER') return String(status);
  return name[form === 'SNAKE_STRING' ? 1 : 0];
}
