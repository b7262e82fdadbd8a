/** What becomes of an exchange when its stream ends otherwise than well, and how we end one. Pure. */
import { type H2ConnectionError, type HpackError, HttpError, type StreamResetError } from '../errors.ts';
import type { AbortReason } from '../exchange.ts';
import { H2, h2CodeName } from './protocol.ts';

export function exchangeError(error: StreamResetError): HttpError {
  const { h2Code, by } = error;
  const options = { cause: error, h2Code };
  if (h2Code === H2.refusedStream && by !== 'us')
    return new HttpError('refused', by === 'peer' ? 'stream-refused' : 'goaway', options);
  if (by === 'peer') return new HttpError('reset', 'stream-reset', options);
  if (by === 'connection') return new HttpError('closed', 'connection-closed', options);
  return h2Code === H2.enhanceYourCalm
    ? new HttpError('limit', 'header-too-large', options)
    : new HttpError('protocol', 'malformed-stream', options);
}

/** What a peer did to a whole connection; the reason is the code's name, as in `protocol-error`. */
export function connectionError(error: H2ConnectionError | HpackError): HttpError {
  const h2Code = error.code === 'HPACK' ? H2.compressionError : error.h2Code;
  const kind = h2Code === H2.enhanceYourCalm ? 'limit' : 'protocol';
  const reason = h2CodeName(h2Code).toLowerCase().replaceAll('_', '-');
  return new HttpError(kind, reason, { cause: error, h2Code });
}

const CODES: Readonly<Record<AbortReason, number>> = {
  cancelled: H2.cancel,
  refused: H2.refusedStream,
  failed: H2.internalError,
  malformed: H2.protocolError,
};

export function resetCode(reason: AbortReason): number {
  return CODES[reason];
}
