/** The one port that clients come to: TCP in, tunnels out of it. */
import { createServer, type Server } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Clock } from '@ambit/core/clock';
import { codeOf } from '@ambit/core/errors';
import { BindError } from '@ambit/core/http-server';
import { formatHostPort } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { acceptHandles, type TcpHandle } from '@ambit/http/transport/native';
import { ACCEPT_WARNING_MS, LISTEN_BACKLOG } from '../limits.ts';

export interface ListenerOptions {
  readonly ip: string;
  /** 0: any. */
  readonly port: number;
  readonly onAccepted: (handle: TcpHandle) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class InboundListener implements Disposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer();
  }

  /** @throws {@link BindError} */
  async open(): Promise<void> {
    const { ip, port, onAccepted } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', (error) => reject(new BindError('tunnels', formatHostPort(ip, port), error)));
    this.#server.listen({ host: ip, port, backlog: LISTEN_BACKLOG }, () => resolve());
    await promise;
    this.#server.removeAllListeners('error').on('error', (error) => this.#warn(codeOf(error) ?? ''));
    acceptHandles(this.#server, onAccepted, (status) =>
      this.#warn(status < 0 ? getSystemErrorName(status) : 'no handle'),
    );
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Takes no more connections. */
  [Symbol.dispose](): void {
    this.#server.close();
  }

  /** Out of descriptors, most of the time: every connection would say it again. */
  #warn(error: string): void {
    const { clock, log } = this.#options;
    if (clock.monotonicMs() < this.#warnedMs + ACCEPT_WARNING_MS) return;
    this.#warnedMs = clock.monotonicMs();
    log.warn('connections not accepted', { port: this.port, error });
  }
}
