/**
 * The certificate of our own ports: signed by the mesh's CA, renewed at half its life and when the CA is another.
 *
 * One that another signed is not shown before whoever must believe it does; until then the one before is.
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
  /** Turns when the CA is another. */
  readonly changed: Watch<number>;
  /** Resolves when who signs now is believed, or after `maxMs`; never rejects. */
  readonly believed: (maxMs: number) => Promise<void>;
  readonly dnsNames: readonly string[];
  readonly ips: readonly string[];
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Issued {
  readonly pair: ServingPair;
  readonly notAfterMs: number;
  /** The certificate of who signed it, PEM. */
  readonly signerPem: string;
}

/** A renewal that fails is tried again after this share of a life, or sooner. */
const TRIES_PER_LIFE = 10;

export class ServingCertificate implements Disposable {
  readonly #options: ServingCertificateOptions;
  readonly #pair: Watched<ServingPair>;
  readonly #subscription: Disposable;
  #issued: Issued;
  /** Counts renewals that were begun: one that is no longer the last one is dropped, as the CA may have been another. */
  #renewals = 0;
  #timer: Timer | undefined;

  private constructor(options: ServingCertificateOptions, first: Issued) {
    this.#options = options;
    this.#issued = first;
    this.#pair = new Watched(first.pair);
    this.#subscription = options.changed.subscribe(() => void this.renew());
    this.#again(this.#halfLifeMs(first));
  }

  static async create(options: ServingCertificateOptions): Promise<ServingCertificate> {
    const before = options.changed.value;
    const serving = new ServingCertificate(options, await issue(options));
    if (options.changed.value !== before) void serving.renew();
    return serving;
  }

  get pair(): Watch<ServingPair> {
    return this.#pair;
  }

  /** Makes another one now. A failure is tried again; the old one stays until then. */
  async renew(): Promise<void> {
    const { authority, believed, ttlMs, clock, log } = this.#options;
    this.#timer?.cancel();
    this.#renewals += 1;
    const own = this.#renewals;
    try {
      // Half of what is left, so that there is time to try again.
      if (authority.material.signer.certificatePem !== this.#issued.signerPem)
        await believed(Math.max(0, this.#issued.notAfterMs - clock.now()) / 2);
      if (own !== this.#renewals) return;
      const issued = await issue(this.#options);
      if (own !== this.#renewals) return;
      this.#issued = issued;
      this.#pair.set(issued.pair);
      this.#again(this.#halfLifeMs(issued));
      log.debug('serving certificate renewed', { notAfter: new Date(issued.notAfterMs).toISOString() });
    } catch (error) {
      if (own !== this.#renewals) return;
      log.error('serving certificate not renewed', { error: messageOf(error) });
      this.#again(Math.min(WRITE_RETRY_MAX_MS, ttlMs / TRIES_PER_LIFE));
    }
  }

  [Symbol.dispose](): void {
    this.#renewals += 1;
    this.#subscription[Symbol.dispose]();
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
  const signerPem = authority.material.signer.certificatePem;
  const { certificatePem, keys, notAfterMs } = await authority.issueServer({ dnsNames, ips }, ttlMs);
  const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return { pair: { cert: certificatePem, key }, notAfterMs, signerPem };
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
