/** The HTTPS port that the API server asks before it stores an object: `/validate`, and `/ready`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { messageOf } from '@ambit/core/errors';
import { BindError } from '@ambit/core/http-server';
import { formatHostPort } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import type { Service } from '@ambit/core/service';
import type { Watch } from '@ambit/core/watch';
import {
  ADMISSION_REQUEST_TIMEOUT_MS,
  MAX_ADMISSION_BODY_BYTES,
  MAX_ADMISSION_CONNECTIONS,
} from '../limits.ts';
import type { ServingPair } from '../serving-certificate.ts';
import { answerReview, type ReviewContext } from './review.ts';

export interface WebhookServerOptions {
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  readonly certificate: Watch<ServingPair>;
  readonly review: ReviewContext;
  readonly log: Logger;
}

export class WebhookServer implements Service {
  readonly name = 'webhook';
  readonly #options: WebhookServerOptions;
  readonly #server: Server;
  readonly #renewal: Disposable;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        ...options.certificate.value,
        minVersion: 'TLSv1.2',
        // Any pod can connect, and policies are admitted by nobody else: who says nothing holds no place for long.
        handshakeTimeout: ADMISSION_REQUEST_TIMEOUT_MS,
        requestTimeout: ADMISSION_REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: ADMISSION_REQUEST_TIMEOUT_MS,
      },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          options.log.warn('admission request failed', { error: messageOf(error) });
          respond(response, 400, { message: messageOf(error) });
        });
      },
    );
    this.#server.maxConnections = MAX_ADMISSION_CONNECTIONS;
    this.#renewal = options.certificate.subscribe((pair) => this.#server.setSecureContext(pair));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** @throws {@link BindError} */
  async start(_signal: AbortSignal): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(new BindError(this.name, formatHostPort(host, port), error)),
      );
      this.#server.listen({ host, port }, resolve);
    });
  }

  async drain(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#renewal[Symbol.dispose]();
    const drained = this.drain();
    this.#server.closeAllConnections();
    await drained;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/ready') return respond(response, 200, { ready: true });
    if (path !== '/validate' || request.method !== 'POST')
      return respond(response, 404, { message: 'not here' });
    const body = await readBody(request);
    if (body === undefined) return respond(response, 413, { message: 'the review is too long' });
    const answer = answerReview(JSON.parse(body) as unknown, this.#options.review);
    if (!answer) return respond(response, 400, { message: 'not an AdmissionReview' });
    if (!answer.response.allowed)
      this.#options.log.info('object refused', { reason: answer.response.status?.message });
    respond(response, 200, answer);
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ADMISSION_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
