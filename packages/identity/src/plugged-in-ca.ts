/**
 * A CA that the operator brings as files: Istio's `cacerts` names, or those of a `kubernetes.io/tls` secret.
 *
 * The files are checked against each other before anything is signed with them: a key of another certificate or a chain
 * that ends at no root would give workloads certificates that nobody accepts.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { AuthorityMaterial, CertificateAuthority } from './certificate-authority.ts';
import { AuthorityError } from './errors.ts';
import { watchFiles } from './file-watch.ts';
import { MAX_CHAIN_CERTIFICATES } from './limits.ts';
import { pemBlocks } from './pem.ts';
import { isIssuer, longestLasting, trustedUntilMs } from './trust-path.ts';
import { checkStrength } from './x509.ts';

/** Texts by file name. */
export type CaFiles = Readonly<Partial<Record<string, string>>>;

interface FileNames {
  readonly certificate: string;
  readonly key: string;
  readonly chain: string | undefined;
  readonly roots: string;
}

const ISTIO_NAMES: FileNames = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  chain: 'cert-chain.pem',
  roots: 'root-cert.pem',
};
const TLS_NAMES: FileNames = { certificate: 'tls.crt', key: 'tls.key', chain: 'tls.crt', roots: 'ca.crt' };

/** Every name that is read. */
export const CA_FILE_NAMES: readonly string[] = [...new Set([ISTIO_NAMES, TLS_NAMES].flatMap(Object.values))];

const RELOAD_PERIOD_MS = 2_000;

/**
 * What the files say, checked; `undefined` if neither set of names has a certificate.
 *
 * @throws {@link AuthorityError} naming the file and what is wrong with it.
 */
export function materialOf(files: CaFiles, nowMs: number): AuthorityMaterial | undefined {
  const names = [ISTIO_NAMES, TLS_NAMES].find(({ certificate }) => files[certificate] !== undefined);
  if (!names) return undefined;
  const [signer, ...behind] = certificatesIn(files, names.certificate);
  const roots = certificatesIn(files, names.roots);
  if (!signer) throw new AuthorityError(`${names.certificate}: no certificate`);
  if (roots.length === 0) throw new AuthorityError(`${names.roots}: no certificate`);
  if (!signer.ca) throw new AuthorityError(`${names.certificate}: not the certificate of a CA`);
  if (signer.validToDate.getTime() <= nowMs)
    throw new AuthorityError(`${names.certificate}: expired ${signer.validToDate.toISOString()}`);
  const privateKey = keyIn(files, names.key);
  if (!signer.checkPrivateKey(privateKey))
    throw new AuthorityError(`${names.key}: does not belong to ${names.certificate}`);
  const known = [...behind, ...(names.chain === undefined ? [] : certificatesIn(files, names.chain))];
  const material: AuthorityMaterial = {
    signer: { certificatePem: signer.toString(), privateKey },
    chainPem: pathToRoot(signer, known, roots).map((certificate) => certificate.toString()),
    rootsPem: roots.map((root) => root.toString()),
  };
  const untilMs = trustedUntilMs(material);
  if (untilMs <= nowMs)
    throw new AuthorityError(
      `a certificate above ${names.certificate} expired ${new Date(untilMs).toISOString()}`,
    );
  return material;
}

/**
 * The material as files, for the secret that keeps a self-signed CA across restarts.
 *
 * The result holds the CA's private key: it goes into that secret and nowhere else.
 */
export function caSecretFiles(material: AuthorityMaterial): Readonly<Record<string, string>> {
  return {
    [ISTIO_NAMES.certificate]: material.signer.certificatePem,
    [ISTIO_NAMES.key]: material.signer.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    'cert-chain.pem': material.chainPem.join(''),
    [ISTIO_NAMES.roots]: material.rootsPem.join(''),
  };
}

/** Reads the material in `folder`; `undefined` if there is none. */
export async function readCaFolder(folder: string, nowMs: number): Promise<AuthorityMaterial | undefined> {
  const texts = await Promise.all(
    CA_FILE_NAMES.map(async (name) => [name, await readIfThere(join(folder, name))] as const),
  );
  return materialOf(Object.fromEntries(texts.filter(([, text]) => text !== undefined)), nowMs);
}

export interface CaFolderWatch {
  readonly folder: string;
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  /** After new material came into use: the root bundle that is published elsewhere may have to follow. */
  readonly reloaded?: (material: AuthorityMaterial) => void;
}

/** Brings changed files into use while it runs; start it before the first read, lest a change fall between. Files that are wrong, or gone, leave the old material in place. */
export async function watchCaFolder(options: CaFolderWatch): Promise<Disposable> {
  const { folder, authority, clock, log } = options;
  const reload = async () => {
    try {
      const material = await readCaFolder(folder, clock.now());
      if (!material) throw new AuthorityError(`no CA certificate in ${folder}`);
      authority.use(material);
      options.reloaded?.(material);
      log.info('CA reloaded', { folder });
    } catch (error) {
      log.error('CA could not be reloaded, the old one stays', { folder, error: messageOf(error) });
    }
  };
  return await watchFiles({
    paths: CA_FILE_NAMES.map((name) => join(folder, name)),
    periodMs: RELOAD_PERIOD_MS,
    clock,
    changed: () => void reload(),
  });
}

/** From the signer up, without the root; empty when the signer is a root itself. */
function pathToRoot(
  signer: X509Certificate,
  known: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] {
  const path: X509Certificate[] = [];
  let current = signer;
  while (!roots.some((root) => root.fingerprint256 === current.fingerprint256)) {
    path.push(current);
    const child = current;
    if (roots.some((root) => isIssuer(root, child))) return path;
    const next = longestLasting(
      known.filter((other) => other.fingerprint256 !== child.fingerprint256 && isIssuer(other, child)),
    );
    if (!next || path.length > MAX_CHAIN_CERTIFICATES)
      throw new AuthorityError(
        `the chain of the CA certificate ends at "${oneLine(child.issuer)}", which is no given root`,
      );
    current = next;
  }
  return path;
}

function certificatesIn(files: CaFiles, name: string): readonly X509Certificate[] {
  try {
    return pemBlocks(files[name] ?? '', 'CERTIFICATE').map((block) => new X509Certificate(block));
  } catch (error) {
    throw new AuthorityError(`${name}: not a certificate`, { cause: error });
  }
}

function keyIn(files: CaFiles, name: string): KeyObject {
  const text = files[name];
  if (text === undefined) throw new AuthorityError(`${name}: missing`);
  try {
    const key = createPrivateKey(text);
    checkStrength(key);
    return key;
  } catch {
    throw new AuthorityError(
      `${name}: not a private key that can be used (PEM, not encrypted, RSA or ECDSA)`,
    );
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new AuthorityError(`${path} cannot be read`, { cause: error });
  }
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
