/** The gRPC status of a response: what its trailers say, or what its HTTP status stands for. Pure. */
import { GRPC_STATUSES, type GrpcStatus } from '@ambit/api/waypoint';
import { grpcField, grpcStatus, grpcStatusFor, isGrpc } from '../grpc.ts';
import type { RequestRecord } from './record.ts';

/** `undefined` for what is not gRPC, or when no response was sent. */
export function grpcStatusOf({
  request,
  status,
  trailers,
  responseFields: fields,
}: RequestRecord): number | undefined {
  if (status === 0 || !isGrpc(request.fields)) return undefined;
  const text = grpcField({ fields, trailers }, 'grpc-status');
  if (text === undefined) return status === 200 ? undefined : grpcStatusFor(status);
  // Some make up numbers of their own. More digits would be a way to make up labels.
  return /^\d{1,3}$/.test(text) ? Number(text) : grpcStatus('UNKNOWN');
}

/** @param form - As Envoy's operator takes it. */
export function grpcStatusName(status: number, form: 'CAMEL_STRING' | 'SNAKE_STRING' | 'NUMBER'): string {
  const name = GRPC_STATUSES[status];
  if (!name || form === 'NUMBER') return String(status);
  return form === 'SNAKE_STRING' ? name : camelOf(name);
}

function camelOf(name: GrpcStatus): string {
  // Envoy writes this one with one L.
  if (name === 'CANCELLED') return 'Canceled';
  if (name === 'OK') return name;
  return name.replaceAll(
    /([A-Z])([A-Z]*)_?/g,
    (_, first: string, rest: string) => first + rest.toLowerCase(),
  );
}
