/** `traceparent` (W3C Trace Context): passed on or made, so that a connection can be followed; no spans are exported. */
import { randomBytes } from 'node:crypto';

const FORM = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const TRACE_BYTES = 16;
const BYTES = 24;
/** Drawn at a time: asking the kernel for each connection's would cost more than all the rest of this file. */
const POOL_BYTES = BYTES * 256;

let pool = '';
let at = 0;

/** A new one, not sampled. */
export function newTraceparent(): string {
  if (at >= pool.length) {
    pool = randomBytes(POOL_BYTES).toString('hex');
    at = 0;
  }
  const hex = pool.slice(at, at + BYTES * 2);
  at += BYTES * 2;
  return `00-${hex.slice(0, TRACE_BYTES * 2)}-${hex.slice(TRACE_BYTES * 2)}-00`;
}

/** The trace id of a `traceparent`; `undefined` if it is malformed or all zero. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  const id = FORM.exec(traceparent ?? '')?.[1];
  return id === undefined || /^0+$/.test(id) ? undefined : id;
}
