/** Fields chosen by name, for a service that authorizes and from its answer. A name may begin or end with `*`. Pure. */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { Authorizer } from '../resources/authorizer.ts';
import { isForOthers } from '../resources/protected-fields.ts';

/** Says whether the body that goes along is all of it: the waypoint's word, never the client's. */
export const PARTIAL_BODY = 'x-envoy-auth-partial-body';

/** Of a request's fields, those that the service is shown. */
export function fieldsToAsk(
  { kind, includeRequestHeadersInCheck: names }: Authorizer,
  fields: HeaderFields,
): HeaderFields {
  const own = filtered(fields, (name) => name !== PARTIAL_BODY);
  if (kind === 'ext-authz-http') return selectedFields(own, ['authorization', ...names]);
  return names.length === 0 ? own : filtered(own, (name) => isNamed(names, name));
}

/** What describes the answer's own body, and would describe that of the request wrongly. */
const OF_ITS_BODY: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-location',
  'content-range',
  'content-type',
]);

/** For the request: patterns do not mean what describes the answer, unless it is named. */
export function fieldsOfAnswer(fields: HeaderFields, names: readonly string[]): HeaderFields {
  return filtered(selectedFields(fields, names), (name) => !OF_ITS_BODY.has(name) || names.includes(name));
}

/** Those that one message may take over from another. */
export function selectedFields(fields: HeaderFields, names: readonly string[]): HeaderFields {
  return filtered(fields, (name) => isForOthers(name) && isNamed(names, name));
}

function filtered(fields: HeaderFields, isWanted: (name: string) => boolean): HeaderFields {
  const chosen: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (isWanted(name)) chosen.push(name, fields[i + 1] ?? '');
  }
  return chosen;
}

function isNamed(names: readonly string[], name: string): boolean {
  return names.some((pattern) => nameMatches(pattern, name));
}

function nameMatches(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  if (pattern.endsWith('*')) return name.startsWith(pattern.slice(0, -1));
  return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern;
}
