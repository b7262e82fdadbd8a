/** The TLS sockets that requests come in by: one handler, any number of addresses. */
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { codeOf, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { EmbeddedOptionError } from '../errors.ts';
import {
  CONNECTIONS,
  HEADER_BYTES,
  HEADERS_TIMEOUT_MS,
  KEEPALIVE_MS,
  REQUEST_TIMEOUT_MS,
} from '../limits.ts';
import type { ServingCertificate } from '../pki/serving.ts';
import type { Router } from './router.ts';
import type { Watches } from './watch.ts';

/** An address, or the descriptor of a socket that is bound (and perhaps listening), which is then ours to close. */
export type ListenTarget = { readonly host: string; readonly port: number } | { readonly fd: number };

export class Listeners implements AsyncDisposable {
  readonly #certificate: ServingCertificate;
  readonly #router: Router;
  readonly #watches: Watches;
  readonly #log: Logger;
  readonly #servers = new Set<Server>();

  constructor(certificate: ServingCertificate, router: Router, watches: Watches, log: Logger) {
    this.#certificate = certificate;
    this.#router = router;
    this.#watches = watches;
    this.#log = log;
  }

  async listen(target: ListenTarget): Promise<{ readonly port: number }> {
    const server = createServer(
      {
        cert: this.#certificate.certificatePem,
        key: this.#certificate.privateKeyPem,
        minVersion: 'TLSv1.2',
        maxHeaderSize: HEADER_BYTES,
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: 90_000,
        // A peer that vanished while we do not read from it is noticed all the same.
        keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_MS,
      },
      (request, response) => void this.#router.handle(request, response),
    );
    server.maxConnections = CONNECTIONS;
    server.on('tlsClientError', (error) =>
      this.#log.debug('TLS handshake failed', { error: messageOf(error) }),
    );
    server.on(
      'upgrade',
      (request, socket: Duplex, head: Buffer) => void this.#router.upgrade(request, socket, head),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(target, () => {
        server.removeListener('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      const where = 'fd' in target ? `descriptor ${target.fd}` : `${target.host}:${target.port}`;
      const why = codeOf(error) === 'EADDRINUSE' ? 'the address is in use' : messageOf(error);
      throw new EmbeddedOptionError(`cannot listen on ${where}: ${why}`, { cause: error });
    });
    this.#servers.add(server);
    const address = server.address();
    return { port: typeof address === 'object' && address !== null ? address.port : 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watches.close();
    const closing = [...this.#servers].map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          // Watches have had their last bookmark; whoever is still there keeps nothing that a new start would miss.
          server.closeAllConnections();
        }),
    );
    await Promise.all(closing);
    this.#servers.clear();
  }
}
