/**
 * Answers of the waypoint itself: the text that Envoy has for them, and for gRPC clients a status in trailers instead.
 *
 * What a client is told names no address, policy or route: those stand in the log.
 */
import type { ResponseHead } from '@ambit/http/exchange';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { encodeGrpcMessage, grpcStatusFor } from '../grpc.ts';
import { without } from './fields.ts';

export interface LocalReply {
  readonly head: ResponseHead;
  readonly body: Uint8Array;
}

export interface LocalReplyOptions {
  readonly isGrpc: boolean;
  readonly isHead: boolean;
  /** Instead of the one that follows from the HTTP status. */
  readonly grpcStatus?: number | undefined;
  readonly fields?: HeaderFields;
}

/** Bytes of a service's refusal that go into the status message of a gRPC call. */
const MAX_GRPC_MESSAGE_BYTES = 1_024;

const NOTHING = new Uint8Array(0);

/** @param text - For people; may be empty. */
export function localReply(status: number, text: string, options: LocalReplyOptions): LocalReply {
  const { isGrpc, isHead, fields = [] } = options;
  if (isGrpc) {
    const code = options.grpcStatus ?? grpcStatusFor(status);
    const message = text === '' ? [] : ['grpc-message', encodeGrpcMessage(text)];
    const head = {
      status: 200,
      fields: ['content-type', 'application/grpc', 'grpc-status', String(code), ...message, ...fields],
    };
    return { head, body: NOTHING };
  }
  const body = Buffer.from(text);
  const type = text === '' ? [] : ['content-type', 'text/plain'];
  const head = { status, fields: [...type, 'content-length', String(body.length), ...fields] };
  return { head, body: isHead ? NOTHING : body };
}

/** The answer that a service which authorizes gives in our place. A gRPC client gets its status, as Envoy has it. */
export function deniedReply(head: ResponseHead, body: Uint8Array, isGrpc: boolean): LocalReply {
  if (!isGrpc) return { head, body };
  const { status, fields } = head;
  const said = fieldValue(fields, 'grpc-status');
  // Only a refusal's: "0" would tell the client that its call is done.
  const grpcStatus = said !== undefined && /^(?:[1-9]|1[0-6])$/.test(said) ? Number(said) : undefined;
  const text = Buffer.from(body).subarray(0, MAX_GRPC_MESSAGE_BYTES).toString();
  const isHead = false;
  return localReply(status, text, { isGrpc, isHead, grpcStatus, fields: without(fields, OF_THE_ANSWER) });
}

/** What describes an answer that is another for gRPC. */
const OF_THE_ANSWER: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-length',
  'content-type',
  'grpc-message',
  'grpc-status',
]);
