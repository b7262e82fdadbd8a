/** The keys that a server has for as long as its folder: the CA's, and the one that signs tokens. */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { codeOf } from '@ambit/core/errors';
import type { KeyPair } from '@ambit/identity/x509';
import { StorageError } from '../errors.ts';
import { type Authority, isUsable, keyPairOf, newAuthority, newKeyPair, pemOfKey } from './serving.ts';

export interface Secrets {
  readonly authority: Authority;
  readonly tokenKeys: KeyPair;
}

/** @param folder - Where they are kept, for the owner alone; `undefined`: nowhere, so they are new each time. */
export async function loadOrMakeSecrets(folder: string | undefined, clock: Clock): Promise<Secrets> {
  if (folder === undefined) return { authority: await newAuthority(clock), tokenKeys: await newKeyPair() };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  return { authority: await keptAuthority(folder, clock), tokenKeys: await keptTokenKeys(folder) };
}

async function keptAuthority(folder: string, clock: Clock): Promise<Authority> {
  const [certificatePath, keyPath] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const [certificatePem, key] = [await readIfThere(certificatePath), await readIfThere(keyPath)];
  if (certificatePem !== undefined && key !== undefined) {
    try {
      if (isUsable(certificatePem, clock.now()))
        return { certificatePem, privateKey: keyPairOf(key).privateKey };
    } catch (error) {
      throw new StorageError(
        folder,
        'the kept certificate authority cannot be read; remove ca.crt and ca.key to make a new one',
        { cause: error },
      );
    }
  }
  const made = await newAuthority(clock);
  await writeSecret(keyPath, pemOfKey(made.privateKey));
  await writeSecret(certificatePath, made.certificatePem);
  return made;
}

async function keptTokenKeys(folder: string): Promise<KeyPair> {
  const path = join(folder, 'service-account.key');
  const kept = await readIfThere(path);
  if (kept !== undefined) {
    try {
      return keyPairOf(kept);
    } catch (error) {
      throw new StorageError(
        path,
        'the kept key of service-account tokens cannot be read; remove it to make a new one',
        { cause: error },
      );
    }
  }
  const keys = await newKeyPair();
  await writeSecret(path, pemOfKey(keys.privateKey));
  return keys;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new StorageError(path, 'cannot be read', { cause: error });
  }
}

/** Whole or not at all, and never readable by others. */
async function writeSecret(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
}
