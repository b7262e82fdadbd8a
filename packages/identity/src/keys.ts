/** Keys of workloads and CAs: ECDSA P-256, new for every certificate, never on disk unless an operator put them there. */
import { createECDH, createHash, createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { KeyPair } from './x509.ts';

const generate = promisify(generateKeyPair);

/** A fresh key pair, made on a thread of the pool. */
export async function generateKeys(): Promise<KeyPair> {
  return await generate('ec', { namedCurve: 'P-256' });
}

/** INSECURE: the same key pair for the same `seed`, so anybody who reads this has it. For a fake CA alone. */
export function insecureKeysFromSeed(seed: string): KeyPair {
  const secret = createHash('sha256').update(seed).digest();
  const curve = createECDH('prime256v1');
  curve.setPrivateKey(secret);
  const point = curve.getPublicKey();
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    d: secret.toString('base64url'),
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33, 65).toString('base64url'),
  };
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
