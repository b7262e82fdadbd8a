/** A RequestAuthentication with targets as waypoints evaluate it. Pure. One that is wrong has every token refused. */
import type { JwtRule as WireRule, RequestAuthentication as Wire, WaypointFields } from '@ambit/api/waypoint';
import type { JwtRule, RequestAuthentication } from '@ambit/kube/resources/security';
import { validateRequestAuthentication } from '../../validate/request-authentication.ts';
import { wireDurationMs } from '../go-duration.ts';
import { originOf } from '../routes/translated.ts';
import type { Targets } from './targets.ts';

export function waypointRequestAuthentication(
  authentication: RequestAuthentication,
  targets: Targets,
): WaypointFields<Wire> {
  const { spec = {} } = authentication;
  const shared = { origin: originOf('RequestAuthentication', authentication), targets: targets.wire };
  const { errors } = validateRequestAuthentication(authentication);
  if (errors.length > 0) return { ...shared, unreadable: errors.join('; ') };
  return { ...shared, rules: (spec.jwtRules ?? []).map(translateRule) };
}

function translateRule(rule: JwtRule): WaypointFields<WireRule> {
  const { jwksUri, jwks_uri: older = '', fromHeaders = [], outputClaimToHeaders = [], timeout } = rule;
  return {
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    jwksUri: jwksUri ?? older,
    jwks: rule.jwks ?? '',
    fromHeaders: fromHeaders.map(({ name, prefix = '' }) => ({ name: name.toLowerCase(), prefix })),
    fromParams: rule.fromParams ?? [],
    fromCookies: rule.fromCookies ?? [],
    forwardOriginalToken: rule.forwardOriginalToken ?? false,
    outputPayloadToHeader: (rule.outputPayloadToHeader ?? '').toLowerCase(),
    outputClaimToHeaders: outputClaimToHeaders.map(({ header, claim }) => ({
      header: header.toLowerCase(),
      claim,
    })),
    timeoutMs: wireDurationMs(timeout),
    spaceDelimitedClaims: rule.spaceDelimitedClaims ?? [],
  };
}
