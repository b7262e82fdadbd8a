/** `RequestAuthentication` of security.istio.io: which tokens a waypoint takes, and where they come from. */
import { oneAttachment, selector, strings, targetRef, targetRefs } from './common.ts';
import { list, object, type StructuralSchema, text, withRules } from './openapi.ts';

const MAX_RULES = 4_096;
const MAX_URI_CHARS = 2_048;
const MAX_SPACE_DELIMITED_CLAIMS = 64;

const some = (description: string): StructuralSchema =>
  strings(description, text(undefined, { minLength: 1 }));

const jwksUri = text('Where the keys are: http or https. Without it and jwks: asked of the issuer.', {
  minLength: 1,
  maxLength: MAX_URI_CHARS,
  pattern: '^[hH][tT][tT][pP][sS]?://.+',
});

const jwtRule = withRules(
  object(
    {
      issuer: text('Who issued the token.', { minLength: 1 }),
      audiences: some('One of these must be in the token. Default: any.'),
      jwksUri,
      jwks_uri: { ...jwksUri, description: 'The older spelling of jwksUri.' },
      jwks: text('The keys themselves, as a JSON Web Key Set.'),
      fromHeaders: list(
        object(
          {
            name: text('Name of the header.', { minLength: 1 }),
            prefix: text('What stands before the token, as "Bearer ".'),
          },
          { required: ['name'] },
        ),
        'Headers that the token is looked for in. Default, with fromParams and fromCookies empty: Authorization, with Bearer, and the parameter access_token.',
      ),
      fromParams: some('Parameters of the query that the token is looked for in.'),
      fromCookies: some('Cookies that the token is looked for in.'),
      outputPayloadToHeader: text('Header that the service gets the payload of the token in.'),
      forwardOriginalToken: {
        type: 'boolean',
        description: 'Whether the service gets the token. Default false.',
      },
      outputClaimToHeaders: list(
        object(
          {
            header: text('Header that the service gets.', { minLength: 1, pattern: '^[-_A-Za-z0-9]+$' }),
            claim: text('Claim that is in it, with dots into what is nested.', { minLength: 1 }),
          },
          { required: ['header', 'claim'] },
        ),
        'Claims that the service gets.',
      ),
      timeout: text('How long the keys may take to come. Default 5s.'),
      spaceDelimitedClaims: {
        ...some('Claims that hold several values with spaces between them, beside scope and permission.'),
        maxItems: MAX_SPACE_DELIMITED_CLAIMS,
      },
    },
    { required: ['issuer'] },
  ),
  {
    rule: '(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1',
    message: 'only one of jwksUri and jwks may be set',
  },
);

export const requestAuthenticationSpec = withRules(
  object({
    selector,
    targetRef,
    targetRefs,
    jwtRules: {
      ...list(jwtRule, 'Tokens of these issuers are taken; others, and invalid ones, are refused.'),
      maxItems: MAX_RULES,
    },
  }),
  oneAttachment,
);
