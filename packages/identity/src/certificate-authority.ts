/**
 * A certificate authority in memory: it signs what it is told to, and says by which roots that is verified.
 *
 * Whether the asker may have the name is not decided here (`ca-server.ts` asks); a request gives its key and nothing
 * else. The material may be replaced while it runs: a plugged-in CA is reloaded, a root is rotated. The X.509 library is
 * loaded with the first request: a proxy that is its own CA answers none.
 */
import type { Clock } from '@ambit/core/clock';
import { AuthorityError, CertificateError } from './errors.ts';
import { generateKeys } from './keys.ts';
import { DEFAULT_LEAF_TTL_MS, MAX_LEAF_TTL_MS } from './limits.ts';
import { signsBySha256 } from './signed-der.ts';
import { parseSpiffeId } from './spiffe-id.ts';
import { type WorkloadCertificate, workloadCertificate } from './workload-certificate.ts';
import { createWorkloadLeaf, readIssuer } from './workload-leaf.ts';
import { trustedUntilMs } from './trust-path.ts';
import type { KeyPair, Signer, SubjectNames, Validity } from './x509.ts';

/** What a CA signs with, and what those who verify need. */
export interface AuthorityMaterial {
  readonly signer: Signer;
  /** From the signer's certificate up, without the root; empty when the root itself signs. */
  readonly chainPem: readonly string[];
  /** Every root that peers shall trust: more than one while roots are rotated or meshes joined. */
  readonly rootsPem: readonly string[];
}

export interface AuthorityOptions {
  readonly clock: Clock;
  /** When a request names no lifetime. Default 24 h. */
  readonly defaultTtlMs?: number;
  /** A request for more is refused. Default 90 days. */
  readonly maxTtlMs?: number;
}

export interface IssueRequest {
  readonly csrPem: string;
  /** SPIFFE IDs that the certificate proves, as URI names. */
  readonly identities: readonly string[];
  /** 0 or less: the default. */
  readonly ttlMs: number;
}

/** A server's certificate for plain TLS, as node:tls takes it. */
export interface ServerCertificate {
  readonly certificatePem: string;
  readonly keys: KeyPair;
  readonly notAfterMs: number;
}

/** The clocks of two machines may differ by this much. */
const CLOCK_SKEW_MS = 2 * 60_000;

/**
 * Whether our own DER says what the X.509 library does, in a tenth of the time: where that signs with SHA-256, too, and the
 * signer's certificate, which may be somebody else's work, can be read.
 */
function signsByOwnDer({ privateKey, certificatePem }: Signer): boolean {
  return signsBySha256(privateKey) && readIssuer(certificatePem) !== undefined;
}

export class CertificateAuthority {
  readonly #clock: Clock;
  readonly #defaultTtlMs: number;
  readonly #maxTtlMs: number;
  #material: AuthorityMaterial;
  /** Of that. */
  #trustedUntilMs: number;

  constructor(material: AuthorityMaterial, options: AuthorityOptions) {
    this.#material = material;
    this.#trustedUntilMs = trustedUntilMs(material);
    this.#clock = options.clock;
    this.#defaultTtlMs = options.defaultTtlMs ?? DEFAULT_LEAF_TTL_MS;
    this.#maxTtlMs = options.maxTtlMs ?? MAX_LEAF_TTL_MS;
  }

  get material(): AuthorityMaterial {
    return this.#material;
  }

  /** From now on signs with, and announces, `material`. */
  use(material: AuthorityMaterial): void {
    this.#trustedUntilMs = trustedUntilMs(material);
    this.#material = material;
  }

  /**
   * Signs a request: leaf, intermediates and, as the last element, all roots in one text.
   *
   * @throws {@link CertificateError} if the request is bad or asks for too long; {@link AuthorityError} if the CA has
   * expired.
   */
  async issue(request: IssueRequest): Promise<readonly string[]> {
    const unusable = request.identities.find((identity) => parseSpiffeId(identity) === undefined);
    if (unusable !== undefined || request.identities.length === 0)
      throw new CertificateError(`not a SPIFFE identity: ${JSON.stringify(unusable ?? '')}`);
    const ttlMs = this.#lifetimeMs(request.ttlMs);
    const { createLeaf, readRequest } = await import('./x509.ts');
    const publicKey = await readRequest(request.csrPem);
    // Nothing else that the asker wrote: some verifiers take a common name for a server's name where no DNS name stands.
    const [identity = '', ...others] = request.identities;
    const key = { publicKey, ...this.#validity(ttlMs) };
    const material = this.#material;
    const leaf =
      others.length === 0 && signsByOwnDer(material.signer)
        ? createWorkloadLeaf({ identity, ...key }, material.signer)
        : await createLeaf({ names: { uris: request.identities }, ...key }, material.signer);
    return [leaf, ...material.chainPem, material.rootsPem.join('')];
  }

  /** Makes a key and a certificate for it in one go: for a process that is its own CA. */
  async issueWorkload(identity: string, ttlMs = 0): Promise<WorkloadCertificate> {
    if (!parseSpiffeId(identity))
      throw new CertificateError(`not a SPIFFE identity: ${JSON.stringify(identity)}`);
    const keys = await generateKeys();
    const material = this.#material;
    const validity = this.#validity(this.#lifetimeMs(ttlMs));
    const leaf = createWorkloadLeaf({ identity, publicKey: keys.publicKey, ...validity }, material.signer);
    const answer = [leaf, ...material.chainPem, material.rootsPem.join('')];
    return workloadCertificate(identity, keys.privateKey, answer);
  }

  /** A certificate for a server that plain TLS clients reach by name, with its chain. */
  async issueServer(names: SubjectNames, ttlMs = 0): Promise<ServerCertificate> {
    const keys = await generateKeys();
    const material = this.#material;
    const validity = this.#validity(this.#lifetimeMs(ttlMs));
    const { createLeaf } = await import('./x509.ts');
    const leaf = await createLeaf(
      { names, publicKey: keys.publicKey, usages: ['serverAuth'], ...validity },
      material.signer,
    );
    return {
      certificatePem: [leaf, ...material.chainPem].join(''),
      keys,
      notAfterMs: validity.notAfterMs,
    };
  }

  #lifetimeMs(requestedMs: number): number {
    if (requestedMs > this.#maxTtlMs)
      throw new CertificateError(
        `requested TTL of ${requestedMs / 1_000} s is longer than the longest allowed, ${this.#maxTtlMs / 1_000} s`,
      );
    return requestedMs > 0 ? requestedMs : this.#defaultTtlMs;
  }

  /** A leaf never outlives any certificate above it, the root included. */
  #validity(ttlMs: number): Validity {
    const nowMs = this.#clock.now();
    const expiresMs = this.#trustedUntilMs;
    if (expiresMs <= nowMs)
      throw new AuthorityError(
        `the CA certificate, or one above it, has expired (${new Date(expiresMs).toISOString()})`,
      );
    return { notBeforeMs: nowMs - CLOCK_SKEW_MS, notAfterMs: Math.min(nowMs + ttlMs, expiresMs) };
  }
}
