/**
 * Which headers and settings let somebody in, by their names: whoever looks into a program is not shown what they say, and
 * they go nowhere in clear.
 */

/** In an explanation, in the place of it. */
export const NOT_SHOWN = '(not shown)';

/** Names of headers whose value lets somebody in, as far as their words do not say so. */
const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'cookie',
  'set-cookie',
  'x-forwarded-client-cert',
  'x-amz-security-token',
  'x-goog-iap-jwt-assertion',
  'cf-access-jwt-assertion',
  'x-ms-token-aad-id-token',
  'sec-websocket-protocol',
]);
/** Words of names, between dashes, dots and underscores: `x-vault-token`, `authorization`, `x_csrf_token`. */
const SECRET_WORDS: ReadonlySet<string> = new Set([
  'auth',
  'authorization',
  'authentication',
  'credential',
  'credentials',
  'token',
  'tokens',
  'jwt',
  'secret',
  'password',
  'passwd',
  'passphrase',
  'session',
  'sessionid',
  'sid',
  'csrf',
  'xsrf',
  'apikey',
  'accesskey',
  'signature',
  'otp',
]);
/** Two words together, which apart say nothing. */
const SECRET_PAIRS: ReadonlySet<string> = new Set([
  'api key',
  'access key',
  'private key',
  'secret key',
  'auth key',
  'app key',
  'subscription key',
  'master key',
  'functions key',
]);

/** Whether what is called so lets somebody in. Rather one too many is taken for it than one too few. */
export function isSecretName(name: string): boolean {
  const lower = name.toLowerCase();
  if (SECRET_HEADERS.has(lower)) return true;
  const words = lower.split(/[-_.]/);
  return words.some((word, i) => SECRET_WORDS.has(word) || SECRET_PAIRS.has(`${word} ${words[i + 1] ?? ''}`));
}
