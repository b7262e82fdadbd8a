/**
 * What an overlay gives somebody that may not be theirs to give: istiod makes objects where their author may make none, and
 * must not be the way out of a namespace. Pure.
 */
import type { Manifest } from './manifest.ts';
import { accountOf, beyondBaseline, programsOf, tokensOf } from './pod-security.ts';
import { fieldsOf } from './strategic-merge.ts';

/**
 * In words; `undefined` if it is nothing. What was there before is no matter, but whoever has less may not put programs of
 * their own into it.
 */
export function escalation(before: Manifest | undefined, after: Manifest | undefined): string | undefined {
  if (!after) return undefined;
  const [was, is] = [fieldsOf(before?.spec), fieldsOf(after.spec)];
  const template = is['template'];
  const known = new Set(beyondBaseline(was['template']));
  const gained = beyondBaseline(template).find((one) => !known.has(one));
  if (gained !== undefined)
    return `${gained} is beyond the level baseline of Pod Security; only an overlay in istiod's namespace may ask for it`;
  if (known.size > 0 && !same(programsOf(template), programsOf(was['template'])))
    return "its class has more than the level baseline of Pod Security: of what runs there, only an overlay in istiod's namespace may change more than resources";
  if (template !== undefined && !same(accountOf(template), accountOf(was['template'])))
    return 'pods run as the account of their waypoint; annotation gateway.istio.io/service-account names it';
  if (template !== undefined && !same(tokensOf(template), tokensOf(was['template'])))
    return "pods of waypoints have no token for the API server; only an overlay in istiod's namespace may ask for one";
  if (!same(is['externalIPs'], was['externalIPs']))
    return "spec.externalIPs takes traffic of others; only an overlay in istiod's namespace may ask for it";
  if (!same(is['scaleTargetRef'], was['scaleTargetRef']))
    return 'spec.scaleTargetRef cannot be changed: it scales its waypoint';
  return undefined;
}

/** Of values that come from YAML; laying over keeps the order of fields. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
