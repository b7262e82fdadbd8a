/**
 * Answers of the waypoint itself: the text that Envoy has for them, and for gRPC clients a status in trailers instead.
 *
 * What a client is told names no address, policy or route: those stand in the log.
 */
import type { ResponseHead } from '@ambit/http/exchange';
import type { HeaderFields } from '@ambit/http/header-fields';
import { encodeGrpcMessage, grpcStatusFor } from '../grpc.ts';

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
