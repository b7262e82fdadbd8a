/**
 * x-request-id: one for each request, taken over from the client or made, which tells what was decided about its trace.
 *
 * As Envoy has it: the 15th character of a UUID is `4`, or `9`, `a` or `b` where the request is traced. Pure.
 */
import { MAX_REQUEST_ID_CHARS } from './limits.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[49ab][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const DECISION_AT = 14;

/** `undefined` for one that is none: then one is made. */
export function acceptedRequestId(value: string | undefined): string | undefined {
  return value !== undefined && value !== '' && value.length <= MAX_REQUEST_ID_CHARS ? value : undefined;
}

/** Whether an id says that its request is traced; one that says nothing does not decide. */
export function isTracedBy(id: string): boolean {
  return UUID.test(id) && id[DECISION_AT] !== '4';
}

/** The id with what was decided; one that is no UUID stays as it is. */
export function withDecision(id: string, traced: boolean): string {
  if (!UUID.test(id) || isTracedBy(id) === traced) return id;
  return `${id.slice(0, DECISION_AT)}${traced ? '9' : '4'}${id.slice(DECISION_AT + 1)}`;
}
