/** What is wrong with a RequestAuthentication; pure. */
import { isToken } from '@ambit/core/http-text';
import type { JwtRule, RequestAuthentication } from '@ambit/kube/resources/security';
import { schemaProblems } from '../schema/openapi.ts';
import { requestAuthenticationSpec } from '../schema/request-authentication.ts';
import { goDurationMs } from '../translate/go-duration.ts';
import { Collector, type Findings } from './problems.ts';
import { validateAttachment } from './selector.ts';

export function validateRequestAuthentication({ spec = {} }: RequestAuthentication): Findings {
  const found = new Collector();
  found.errors.push(...schemaProblems(requestAuthenticationSpec, spec, 'spec'));
  if (found.errors.length > 0) return found;
  validateAttachment(spec, found);
  for (const [i, rule] of (spec.jwtRules ?? []).entries()) validateRule(rule, `spec.jwtRules[${i}]`, found);
  if (spec.targetRef === undefined && (spec.targetRefs ?? []).length === 0)
    found.warn('spec', 'without targetRefs to a waypoint, or to what is behind one, nobody looks at tokens');
  return found;
}

function validateRule(rule: JwtRule, path: string, into: Collector): void {
  const { jwksUri, jwks_uri: older, jwks, timeout } = rule;
  if ([jwksUri, older, jwks].filter((each) => each !== undefined).length > 1)
    into.error(path, 'only one of jwksUri and jwks may be set');
  for (const [name, uri] of Object.entries({ jwksUri, jwks_uri: older }))
    if (uri !== undefined && !isHttpUri(uri))
      into.error(`${path}.${name}`, `"${uri}" is not an http or https URI`);
  if (jwks !== undefined && !isKeySet(jwks)) into.error(`${path}.jwks`, 'is not a JSON Web Key Set');
  if (timeout !== undefined && !goDurationMs(timeout))
    into.error(`${path}.timeout`, `"${timeout}" is not a duration such as 5s`);
  for (const [i, { name }] of (rule.fromHeaders ?? []).entries())
    if (!isToken(name)) into.error(`${path}.fromHeaders[${i}].name`, `"${name}" is not a header`);
  for (const [i, { header }] of (rule.outputClaimToHeaders ?? []).entries())
    if (!/^[-_A-Za-z0-9]+$/.test(header))
      into.error(`${path}.outputClaimToHeaders[${i}].header`, `"${header}" is not a header`);
  const { outputPayloadToHeader = '' } = rule;
  if (outputPayloadToHeader !== '' && !isToken(outputPayloadToHeader))
    into.error(`${path}.outputPayloadToHeader`, `"${outputPayloadToHeader}" is not a header`);
}

function isHttpUri(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '';
}

function isKeySet(text: string): boolean {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && 'keys' in value && Array.isArray(value.keys);
  } catch {
    return false;
  }
}
