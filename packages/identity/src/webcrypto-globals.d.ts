/**
 * Names that the declarations of @peculiar/x509 and @peculiar/webcrypto expect of a browser, with Node's meaning.
 *
 * So the program type-checks without lib `dom`, under which a stray `name` or `close()` would mean something.
 */
import type { webcrypto } from 'node:crypto';

declare global {
  type AlgorithmIdentifier = webcrypto.AlgorithmIdentifier;
  type BufferSource = ArrayBufferView<ArrayBuffer> | ArrayBuffer;
  type KeyType = webcrypto.KeyType;
  type KeyUsage = webcrypto.KeyUsage;
  interface Algorithm extends webcrypto.Algorithm {}
  interface KeyAlgorithm extends webcrypto.KeyAlgorithm {}
  interface EcdsaParams extends webcrypto.EcdsaParams {}
  interface EcKeyGenParams extends webcrypto.EcKeyGenParams {}
  interface EcKeyImportParams extends webcrypto.EcKeyImportParams {}
  interface RsaHashedImportParams extends webcrypto.RsaHashedImportParams {}
  interface CryptoKey extends webcrypto.CryptoKey {}
  interface CryptoKeyPair extends webcrypto.CryptoKeyPair {}
  interface SubtleCrypto extends webcrypto.SubtleCrypto {}
}
