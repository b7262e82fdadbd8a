/** gRPC: a held conversation is one stream each way, which the mesh must carry as long as it lasts. */
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { formatHostPort } from '@ambit/core/ip';
import { ECHO_SERVICE } from '../grpc-service.ts';
import type { Description, Target } from '../messages.ts';
import type { Answer, Conversation } from './conversation.ts';

type EchoStream = ClientDuplexStream<{ readonly text: string }, Description>;

/** @param holds - Whether more than one question follows: a stream, else one unary call. */
export async function dialGrpc(target: Target, holds: boolean, signal: AbortSignal): Promise<Conversation> {
  const client = new Client(formatHostPort(target.host, target.port), credentials.createInsecure(), {
    // Without this, conversations to one target would share a connection.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
  });
  const deadline = Date.now() + 10_000;
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      client.waitForReady(deadline, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    client.close();
    throw error;
  }
  return holds ? new StreamConversation(client) : new UnaryConversation(client);
}

class UnaryConversation implements Conversation {
  readonly #client: Client;
  readonly isClosed = false;

  constructor(client: Client) {
    this.#client = client;
  }

  ask(signal: AbortSignal): Promise<Answer> {
    const { path, requestSerialize, responseDeserialize } = ECHO_SERVICE.Unary;
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { text: 'ask' },
        (error, server) => (error ? reject(error) : resolve({ server })),
      );
      signal.addEventListener('abort', () => call.cancel(), { once: true });
    });
  }

  close(): void {
    this.#client.close();
  }
}

class StreamConversation implements Conversation {
  readonly #client: Client;
  readonly #stream: EchoStream;
  #isClosed = false;
  #waiting:
    | { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }
    | undefined;

  constructor(client: Client) {
    this.#client = client;
    const { path, requestSerialize, responseDeserialize } = ECHO_SERVICE.Stream;
    this.#stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#stream.on('data', (server: Description) => this.#waiting?.resolve({ server }));
    this.#stream.on('error', (error) => this.#end(error));
    this.#stream.on('end', () => this.#end(new Error('the stream ended')));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  ask(signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      this.#stream.write({ text: 'ask' });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stream.cancel();
    this.#client.close();
  }

  #end(error: Error): void {
    this.#isClosed = true;
    this.#waiting?.reject(error);
  }
}
