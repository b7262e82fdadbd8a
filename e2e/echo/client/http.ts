/** HTTP/1.1 and HTTP/2, each conversation on one connection of its own. */
import { once } from 'node:events';
import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
} from 'node:http';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { formatHostPort } from '@ambit/core/ip';
import type { Description, RequestOrder, Target } from '../messages.ts';
import {
  type Answer,
  ClosedWhileIdleError,
  type Conversation,
  type Opening,
  UnexpectedAnswerError,
} from './conversation.ts';

const MAX_ANSWER_BYTES = 256 * 1024;

export async function dialHttp(target: RequestOrder, signal: AbortSignal): Promise<Conversation> {
  const { socket, opening } = await openTimed(target, signal);
  if (target.tlsName === undefined) return new HttpConversation(target, socket, opening);
  const secured = connectTls({ socket, servername: target.tlsName, rejectUnauthorized: false });
  await once(secured, 'secureConnect', { signal });
  secured.on('error', () => {});
  return new HttpConversation(target, secured, opening);
}

/** A TCP connection, established. */
export async function openSocket(target: Target, signal: AbortSignal): Promise<Socket> {
  return (await openTimed(target, signal)).socket;
}

async function openTimed(
  { host, port }: Target,
  signal: AbortSignal,
): Promise<{ readonly socket: Socket; readonly opening: Opening }> {
  const beganAt = performance.now();
  let namedAt = beganAt;
  const socket = connectTcp({ host, port }).once('lookup', () => {
    namedAt = performance.now();
  });
  const abort = () => socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await once(socket, 'connect');
  } finally {
    signal.removeEventListener('abort', abort);
  }
  socket.setNoDelay(true);
  // Whoever asks sees the failure as well; between two questions nobody does.
  socket.on('error', () => {});
  return { socket, opening: { nameMs: namedAt - beganAt, connectMs: performance.now() - namedAt } };
}

class HttpConversation implements Conversation {
  readonly #target: RequestOrder;
  readonly #socket: Socket;
  readonly #agent: Agent;
  readonly opening: Opening;
  #toldToClose = false;
  #answers = 0;

  constructor(target: RequestOrder, socket: Socket, opening: Opening) {
    this.opening = opening;
    this.#target = target;
    this.#socket = socket;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
    this.#agent.createConnection = () => socket;
  }

  get isClosed(): boolean {
    return this.#toldToClose || this.#socket.destroyed || this.#socket.readableEnded;
  }

  async ask(signal: AbortSignal): Promise<Answer> {
    const { host, port, path = '/', method = 'GET', headers = {}, wantsAnswer = false } = this.#target;
    const asking = request({ host, port, path, method, headers, agent: this.#agent, signal });
    asking.end();
    const answer = await this.#answerTo(asking);
    this.#toldToClose = answer.headers.connection === 'close';
    const status = answer.statusCode ?? 0;
    const text = await textOf(answer);
    const read = wantsAnswer
      ? { server: describedIn(text), head: { status, headers: textsOf(answer.headers) } }
      : readAnswer(status, text);
    this.#answers++;
    return read;
  }

  async #answerTo(asking: ClientRequest): Promise<IncomingMessage> {
    try {
      const [answer] = (await once(asking, 'response')) as [IncomingMessage];
      return answer;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const crossed = this.#answers > 0 && (code === 'ECONNRESET' || code === 'EPIPE');
      throw crossed ? new ClosedWhileIdleError(message, { cause: error }) : error;
    }
  }

  close(): void {
    this.#agent.destroy();
    this.#socket.destroy();
  }
}

export async function dialHttp2(target: Target, signal: AbortSignal): Promise<Conversation> {
  const socket = await openSocket(target, signal);
  const session = connect(`http://${formatHostPort(target.host, target.port)}`, {
    createConnection: () => socket,
  });
  session.on('error', () => session.destroy());
  return new Http2Conversation(target, session);
}

class Http2Conversation implements Conversation {
  readonly #target: Target;
  readonly #session: ClientHttp2Session;
  #goingAway = false;

  constructor(target: Target, session: ClientHttp2Session) {
    this.#target = target;
    this.#session = session;
    session.on('goaway', () => {
      this.#goingAway = true;
    });
  }

  get isClosed(): boolean {
    return this.#goingAway || this.#session.closed || this.#session.destroyed;
  }

  async ask(signal: AbortSignal): Promise<Answer> {
    const { path = '/', method = 'GET', headers = {} } = this.#target;
    const stream = this.#session.request({ ...headers, ':path': path, ':method': method });
    const abort = () => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener('abort', abort, { once: true });
    try {
      let status = 0;
      stream.on('response', (headers) => {
        status = Number(headers[':status'] ?? 0);
      });
      const text = await textOf(stream);
      signal.throwIfAborted();
      if (stream.rstCode !== 0) throw new UnexpectedAnswerError(`stream reset: ${stream.rstCode}`);
      return readAnswer(status, text);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  close(): void {
    this.#session.destroy();
  }
}

async function textOf(answer: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer) {
    const part = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    sizeBytes += part.length;
    if (sizeBytes > MAX_ANSWER_BYTES)
      throw new UnexpectedAnswerError(`more than ${MAX_ANSWER_BYTES} bytes of answer`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function readAnswer(status: number, text: string): Answer {
  if (status < 200 || status > 299)
    throw new UnexpectedAnswerError(`status ${status}: ${text.slice(0, 200)}`);
  return { server: describedIn(text) };
}

/** Other servers than ours, such as a proxy's metrics page, do not describe themselves. */
function describedIn(text: string): Description | undefined {
  return text.startsWith('{') ? (JSON.parse(text) as Description) : undefined;
}

function textsOf(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
