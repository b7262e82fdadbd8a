/** Puts a token where rules look for one: for explanations. */
import type { HeaderFields } from '@ambit/http/header-fields';
import type { RequestView } from '../decide/request-view.ts';
import type { JwtRule, TokenLocation } from '../resources/request-authentication.ts';
import { parseToken } from './find-tokens.ts';

const ANYWHERE: TokenLocation = { kind: 'header', name: 'authorization', prefix: 'Bearer ' };

/** The request with the token in the first place that the rule of its issuer names, or else the first rule. */
export function withToken(request: RequestView, text: string, rules: readonly JwtRule[]): RequestView {
  const token = parseToken(text);
  const issuer = typeof token === 'string' ? undefined : token.claims['iss'];
  const rule = rules.find((one) => one.issuer === issuer) ?? rules[0];
  const place = rule?.locations[0] ?? ANYWHERE;
  switch (place.kind) {
    case 'header':
      return withField(request, [place.name, `${place.prefix}${text}`]);
    case 'cookie':
      return withField(request, ['cookie', `${place.name}=${text}`]);
    case 'query-parameter': {
      const sign = request.path.includes('?') ? '&' : '?';
      return { ...request, path: `${request.path}${sign}${encodeURIComponent(place.name)}=${text}` };
    }
    default:
      return place satisfies never;
  }
}

function withField(request: RequestView, field: HeaderFields): RequestView {
  return { ...request, fields: [...request.fields, ...field] };
}
