/**
 * Which headers and settings let somebody in, by their names: whoever looks into a program is not shown what they say, and
 * they go to no control plane in clear.
 */

/** In an explanation, in the place of it. */
export const NOT_SHOWN = '(not shown)';

/** Names of headers whose value lets somebody in, though their words do not say so. */
const SECRET_HEADERS: ReadonlySet<string> = new Set(['x-forwarded-client-cert', 'sec-websocket-protocol']);

/** Words of their own: `authorization`, `x_csrf_id`, `DB_PASS`. */
const WORDS =
  'auth|oauth|authorization|authentication|bearer|cred|jwt|session|sid|csrf|xsrf|signature|otp|pass|pwd|pw|psk';
/** And what others may be written together with: `x-vault-token`, `ACCESSTOKEN`, `PGPASSWORD`. */
const ENDINGS = 'token|secret|password|passwd|passphrase|passcode|credential|cookie|sessionid|sessid';
/** A key of one of these, apart or together: other keys are names of things, as `cache-key`. */
const KEYS =
  'access|account|api|app|auth|client|decryption|encryption|functions|hmac|license|master|private|secret|shared|signing|ssh|ssl|subscription|tls';

/** Letters of either case are words; whatever else is between them ends one. */
const SECRET = new RegExp(`(?:(?<![a-z])(?:${WORDS})|(?:${ENDINGS})|(?:${KEYS})[^a-z]?key)s?(?![a-z])`, 'i');

/** Whether what is called so lets somebody in. Rather one too many is taken for it than one too few. */
export function isSecretName(name: string): boolean {
  return SECRET_HEADERS.has(name.toLowerCase()) || SECRET.test(name);
}
