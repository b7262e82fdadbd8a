/** The certificate of our own ports: signed by the mesh's CA, renewed at half its life and when the CA is another. */
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { type Watch, Watched } from '@ambit/core/watch';
import type { CertificateAuthority } from '@ambit/identity/certificate-authority';
import { SERVING_TTL_MS, WRITE_RETRY_MAX_MS } from './limits.ts';

export interface ServingPair {
  /** With its chain, leaf first. */
  readonly cert: string;
  readonly key: string;
}

export interface ServingCertificateOptions {
  readonly authority: CertificateAuthority;
  readonly dnsNames: readonly string[];
  readonly ips: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export class ServingCertificate implements Disposable {
  readonly #options: ServingCertificateOptions;
  readonly #pair: Watched<ServingPair>;
  #timer: Timer | undefined;

  private constructor(options: ServingCertificateOptions, first: ServingPair) {
    this.#options = options;
    this.#pair = new Watched(first);
    this.#again(SERVING_TTL_MS / 2);
  }

  static async create(options: ServingCertificateOptions): Promise<ServingCertificate> {
    return new ServingCertificate(options, await issue(options));
  }

  get pair(): Watch<ServingPair> {
    return this.#pair;
  }

  /** Makes another one now: the CA is another. A failure is tried again; the old one stays until then. */
  async renew(): Promise<void> {
    try {
      this.#pair.set(await issue(this.#options));
      this.#again(SERVING_TTL_MS / 2);
    } catch (error) {
      this.#options.log.error('serving certificate not renewed', { error: messageOf(error) });
      this.#again(WRITE_RETRY_MAX_MS);
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
  }

  #again(afterMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(afterMs, () => void this.renew());
  }
}

async function issue({ authority, dnsNames, ips }: ServingCertificateOptions): Promise<ServingPair> {
  const { certificatePem, keys } = await authority.issueServer({ dnsNames, ips }, SERVING_TTL_MS);
  return { cert: certificatePem, key: keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() };
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
