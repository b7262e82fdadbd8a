/**
 * Certificates of the pods on this worker, and the handshakes that wait for one.
 *
 * The control thread is asked once for each identity, however many handshakes wait; it sends renewed ones unasked. A
 * certificate object lives as long as it is in force, so that its TLS context is made once.
 */
import type { Clock } from '@ambit/core/clock';
import type { WorkloadCertificate } from '@ambit/identity/workload-certificate';
import type { CertificateMessage } from '../threads/messages.ts';
import { CertificateUnavailableError } from './errors.ts';
import { CERTIFICATE_WAIT_MS, MAX_CERTIFICATE_WAITS } from './limits.ts';

interface Waiting {
  readonly promise: Promise<WorkloadCertificate>;
  resolve(certificate: WorkloadCertificate): void;
  reject(error: CertificateUnavailableError): void;
  count: number;
}

export class WorkerCertificates {
  readonly #clock: Clock;
  readonly #ask: (identity: string) => void;
  readonly #held = new Map<string, WorkloadCertificate>();
  readonly #waiting = new Map<string, Waiting>();
  #waits = 0;

  constructor(clock: Clock, ask: (identity: string) => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** The certificate in force, if there is one already. */
  peek(identity: string): WorkloadCertificate | undefined {
    const held = this.#held.get(identity);
    return held && held.notAfterMs > this.#clock.now() ? held : undefined;
  }

  /** @throws {@link CertificateUnavailableError} it cannot be had, not in time, or too many wait. */
  get(identity: string): Promise<WorkloadCertificate> {
    const held = this.peek(identity);
    if (held) return Promise.resolve(held);
    if (this.#waits >= MAX_CERTIFICATE_WAITS) {
      const why = `more than ${MAX_CERTIFICATE_WAITS} handshakes wait for certificates`;
      return Promise.reject(new CertificateUnavailableError(identity, why));
    }
    const waiting = this.#waiting.get(identity) ?? this.#request(identity);
    waiting.count += 1;
    this.#waits += 1;
    return waiting.promise;
  }

  accept(message: CertificateMessage): void {
    const { kind: _kind, ...certificate } = message;
    this.#held.set(certificate.identity, certificate);
    this.#settle(certificate.identity, (waiting) => waiting.resolve(certificate));
  }

  failed(identity: string, reason: string): void {
    this.#settle(identity, (waiting) => waiting.reject(new CertificateUnavailableError(identity, reason)));
  }

  forget(identity: string): void {
    this.#held.delete(identity);
  }

  #request(identity: string): Waiting {
    const { promise, resolve, reject } = Promise.withResolvers<WorkloadCertificate>();
    const waiting: Waiting = { promise, resolve, reject, count: 0 };
    this.#waiting.set(identity, waiting);
    const late = this.#clock.after(CERTIFICATE_WAIT_MS, () =>
      this.failed(identity, `not here after ${CERTIFICATE_WAIT_MS} ms`),
    );
    promise.then(
      () => late.cancel(),
      () => late.cancel(),
    );
    this.#ask(identity);
    return waiting;
  }

  #settle(identity: string, settle: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(identity);
    if (!waiting) return;
    this.#waiting.delete(identity);
    this.#waits -= waiting.count;
    settle(waiting);
  }
}
