/**
 * The certificate of our own ports: signed by the mesh's CA, renewed at half its life and when the CA is another.
 *
 * Its life may be shorter than was asked for, since it never outlives the CA's own certificates: what it says itself counts.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { type Watch, Watched } from '@ambit/core/watch';
import type { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { SERVING_RENEWAL_MIN_MS, WRITE_RETRY_MAX_MS } from './limits.ts';

export interface ServingPair {
  /** With its chain, leaf first. */
  readonly cert: string;
  readonly key: string;
}

export interface ServingCertificateOptions {
  readonly authority: CertificateAuthority;
  readonly dnsNames: readonly string[];
  readonly ips: readonly string[];
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Issued {
  readonly pair: ServingPair;
  readonly notAfterMs: number;
}

/** A renewal that fails is tried again after this share of a life, or sooner. */
const TRIES_PER_LIFE = 10;

export class ServingCertificate implements Disposable {
  readonly #options: ServingCertificateOptions;
  readonly #pair: Watched<ServingPair>;
  #timer: Timer | undefined;

  private constructor(options: ServingCertificateOptions, first: Issued) {
    this.#options = options;
    this.#pair = new Watched(first.pair);
    this.#again(this.#halfLifeMs(first));
  }

  static async create(options: ServingCertificateOptions): Promise<ServingCertificate> {
    return new ServingCertificate(options, await issue(options));
  }

  get pair(): Watch<ServingPair> {
    return this.#pair;
  }

  /** Makes another one now: the CA is another. A failure is tried again; the old one stays until then. */
  async renew(): Promise<void> {
    const { ttlMs, log } = this.#options;
    try {
      const issued = await issue(this.#options);
      this.#pair.set(issued.pair);
      this.#again(this.#halfLifeMs(issued));
      log.debug('serving certificate renewed', { notAfter: new Date(issued.notAfterMs).toISOString() });
    } catch (error) {
      log.error('serving certificate not renewed', { error: messageOf(error) });
      this.#again(Math.min(WRITE_RETRY_MAX_MS, ttlMs / TRIES_PER_LIFE));
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }

  #halfLifeMs({ notAfterMs }: Issued): number {
    const { ttlMs, clock } = this.#options;
    return Math.max(SERVING_RENEWAL_MIN_MS, Math.min(ttlMs, notAfterMs - clock.now()) / 2);
  }

  #again(afterMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(afterMs, () => void this.renew());
  }
}

async function issue({ authority, dnsNames, ips, ttlMs }: ServingCertificateOptions): Promise<Issued> {
  const { certificatePem, keys, notAfterMs } = await authority.issueServer({ dnsNames, ips }, ttlMs);
  const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return { pair: { cert: certificatePem, key }, notAfterMs };
}

/** The names that clients in the cluster reach the control plane by. */
export function servingNames(namespace: string, revision: string, domain: string): readonly string[] {
  const services = [
    'istiod',
    'istio-pilot',
    ...(revision === '' || revision === 'default' ? [] : [`istiod-${revision}`]),
  ];
  return services.flatMap((service) => [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.${domain}`,
    `${service}.${namespace}`,
    service,
  ]);
}
