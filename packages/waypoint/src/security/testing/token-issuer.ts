/** For tests: who issues tokens, with a key of its own. */
import { CompactSign, exportJWK, generateKeyPair } from 'jose';

const ALG = 'ES256';

export interface TokenIssuer {
  /** Its key set, as RequestAuthentications have it. */
  readonly jwks: string;
  /** @param kid - What the token says of its key. Default: the id that {@link jwks} has. */
  sign(claims: object, kid?: string): Promise<string>;
}

export async function tokenIssuer(kid: string): Promise<TokenIssuer> {
  const { privateKey, publicKey } = await generateKeyPair(ALG, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: ALG };
  return {
    jwks: JSON.stringify({ keys: [jwk] }),
    sign: async (claims, named = kid) =>
      await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
        .setProtectedHeader({ alg: ALG, kid: named })
        .sign(privateKey),
  };
}
