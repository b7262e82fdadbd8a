/**
 * Certificate revocation lists: which serial numbers of which issuers are no longer good.
 *
 * The file is trusted as the roots are, so its signature is not what decides; its issuer's name and the serial are.
 * Unknown issuers are allowed and a list's own expiry is ignored, as Istio does.
 */
import { readFile } from 'node:fs/promises';
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '@ambit/core/clock';
import { codeOf, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { derContent, derValues, INTEGER, SEQUENCE } from './der.ts';
import { CertificateError } from './errors.ts';
import { watchFiles } from './file-watch.ts';
import { MAX_REVOCATION_FILE_SIZE_BYTES, MAX_REVOKED_CERTIFICATES } from './limits.ts';
import type { RevocationCheck } from './tls-context.ts';

/** Serial numbers by issuer, both as hexadecimal of their DER. */
type Revoked = ReadonlyMap<string, ReadonlySet<string>>;

interface Tracked {
  readonly chain: readonly X509Certificate[];
  readonly revoked: (reason: string) => void;
}

const RELOAD_PERIOD_MS = 2_000;

/** The lists in force, and the connections that shall end when they change. */
export class Revocations {
  #revoked: Revoked = new Map();
  readonly #tracked = new Set<Tracked>();

  /** The reason why a chain may not be used, or `undefined`. For `verifyServerPeer` and `verifyClientPeer`. */
  readonly check: RevocationCheck = (chain) => {
    if (this.#revoked.size === 0) return undefined;
    for (const certificate of chain) {
      const { issuer, serial } = namesOf(certificate.raw);
      if (this.#revoked.get(issuer)?.has(serial))
        return `peer certificate is Revoked: serial ${certificate.serialNumber.toLowerCase()} is in the CRL`;
    }
    return undefined;
  };

  /** How many serials are revoked. */
  get size(): number {
    return [...this.#revoked.values()].reduce((sum, serials) => sum + serials.size, 0);
  }

  /**
   * Puts other lists in force and tells every tracked connection that they revoke.
   *
   * @param bytes - PEM with any number of lists, or one in DER; empty: nothing is revoked.
   * @throws {@link CertificateError} if a list cannot be read; the old ones stay in force.
   */
  replace(bytes: Uint8Array): void {
    this.#revoked = parseRevocationLists(bytes);
    for (const tracked of [...this.#tracked]) {
      const reason = this.check(tracked.chain);
      if (reason === undefined) continue;
      this.#tracked.delete(tracked);
      tracked.revoked(reason);
    }
  }

  /** Calls `revoked` once if a later list revokes `chain`. Dispose when the connection ends. */
  track(chain: readonly X509Certificate[], revoked: (reason: string) => void): Disposable {
    const tracked = { chain, revoked };
    this.#tracked.add(tracked);
    return { [Symbol.dispose]: () => void this.#tracked.delete(tracked) };
  }
}

export interface RevocationFile {
  readonly path: string;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Loads the file, and again whenever it changes. A missing or broken file changes nothing but the log. */
export async function watchRevocationFile(options: RevocationFile): Promise<Disposable> {
  const { path, revocations, clock, log } = options;
  const load = async () => {
    try {
      revocations.replace(await readFile(path));
      log.info('CRL loaded', { path, revoked: revocations.size });
    } catch (error) {
      const message = codeOf(error) === 'ENOENT' ? 'CRL file is missing' : 'CRL could not be loaded';
      log.warn(message, { path, inForce: revocations.size, error: messageOf(error) });
    }
  };
  const watch = await watchFiles({
    paths: [path],
    periodMs: RELOAD_PERIOD_MS,
    clock,
    changed: () => void load(),
  });
  await load();
  return watch;
}

/** @throws {@link CertificateError} */
export function parseRevocationLists(bytes: Uint8Array): Revoked {
  if (bytes.length > MAX_REVOCATION_FILE_SIZE_BYTES)
    throw new CertificateError(`CRL of ${bytes.length} bytes, more than ${MAX_REVOCATION_FILE_SIZE_BYTES}`);
  const revoked = new Map<string, Set<string>>();
  for (const der of listsIn(bytes)) {
    const list = parseList(der);
    if (!list) throw new CertificateError('not a CRL');
    const serials = revoked.get(list.issuer) ?? new Set();
    for (const serial of list.serials) serials.add(serial);
    revoked.set(list.issuer, serials);
  }
  return revoked;
}

const PEM_LIST = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]*)-----END X509 CRL-----/g;

function listsIn(bytes: Uint8Array): readonly Uint8Array[] {
  if (bytes.length === 0) return [];
  if (bytes[0] === SEQUENCE) return [bytes];
  const text = Buffer.from(bytes).toString('latin1');
  if (text.trim() !== '' && !text.includes('-----BEGIN '))
    throw new CertificateError('not a CRL: neither PEM nor DER');
  const lists = [...text.matchAll(PEM_LIST)].map(([, base64 = '']) => Buffer.from(base64, 'base64'));
  if (lists.length < text.split('-----BEGIN X509 CRL-----').length - 1)
    throw new CertificateError('a CRL is cut off');
  return lists;
}

/** CertificateList: `{ {version?, algorithm, issuer, thisUpdate, nextUpdate?, {{serial, …}…}?, [0]?}, …}`. */
function parseList(der: Uint8Array): { issuer: string; serials: readonly string[] } | undefined {
  const outer = derContent(der, SEQUENCE);
  const signed = outer && derValues(outer, 3)?.[0];
  const fields = signed?.tag === SEQUENCE ? derValues(signed.content, 8) : undefined;
  if (!fields) return undefined;
  const [, issuer, ...rest] = fields[0]?.tag === INTEGER ? fields.slice(1) : fields;
  if (issuer?.tag !== SEQUENCE) return undefined;
  const entries = rest.find((field) => field.tag === SEQUENCE);
  const rows = entries ? derValues(entries.content, MAX_REVOKED_CERTIFICATES) : [];
  const serials = rows?.map((row) => derValues(row.content, 3)?.[0]);
  if (!serials?.every((serial) => serial?.tag === INTEGER)) return undefined;
  return {
    issuer: hex(issuer.content),
    serials: serials.map((serial) => hex(serial?.content ?? new Uint8Array())),
  };
}

function namesOf(certificate: Uint8Array): { issuer: string; serial: string } {
  const outer = derContent(certificate, SEQUENCE);
  const signed = outer && derValues(outer, 3)?.[0];
  const fields = (signed && derValues(signed.content, 16)) ?? [];
  const [serial, , issuer] = fields[0]?.tag === 0xa0 ? fields.slice(1) : fields;
  return {
    issuer: hex(issuer?.content ?? new Uint8Array()),
    serial: hex(serial?.content ?? new Uint8Array()),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
