/** TCP, with or without a greeting, and WebSocket: each question must come back as it was sent. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { formatHostPort } from '@ambit/core/ip';
import type { Description, Target } from '../messages.ts';
import { type Answer, type Conversation, UnexpectedAnswerError } from './conversation.ts';
import { openSocket } from './http.ts';

const MAX_LINE_CHARS = 64 * 1024;

export async function dialTcp(target: Target, signal: AbortSignal): Promise<Conversation> {
  const conversation = new LineConversation(await openSocket(target, signal));
  if (target.kind === 'greeting') await conversation.readGreeting(signal);
  return conversation;
}

class LineConversation implements Conversation {
  readonly #socket: Socket;
  #text = '';
  #server: Description | undefined;
  #asked = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      this.#text += text;
      if (this.#text.length > MAX_LINE_CHARS) socket.destroy();
    });
  }

  get isClosed(): boolean {
    return this.#socket.destroyed || this.#socket.readableEnded;
  }

  async readGreeting(signal: AbortSignal): Promise<void> {
    this.#server = JSON.parse(await this.#line(signal)) as Description;
  }

  async ask(signal: AbortSignal): Promise<Answer> {
    const question = `question ${this.#asked++}`;
    this.#socket.write(`${question}\n`);
    const line = await this.#line(signal);
    if (line !== question) throw new UnexpectedAnswerError(`sent "${question}", got "${line}"`);
    return { server: this.#server };
  }

  close(): void {
    this.#socket.destroy();
  }

  async #line(signal: AbortSignal): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf('\n');
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      signal.throwIfAborted();
      if (this.isClosed) throw new UnexpectedAnswerError('connection closed before the answer');
      await somethingHappens(this.#socket, signal);
    }
  }
}

/** Data, an end or an error; the error is thrown. */
async function somethingHappens(socket: Socket, signal: AbortSignal): Promise<void> {
  const either = new AbortController();
  const options = { signal: AbortSignal.any([signal, either.signal]) };
  const events = [
    once(socket, 'data', options),
    once(socket, 'end', options),
    once(socket, 'close', options),
  ];
  try {
    await Promise.race(events);
  } finally {
    either.abort();
    await Promise.allSettled(events);
  }
}

export async function dialWebSocket(target: Target, signal: AbortSignal): Promise<Conversation> {
  const socket = new WebSocket(`ws://${formatHostPort(target.host, target.port)}/`, {
    perMessageDeflate: false,
  });
  const abort = () => socket.terminate();
  signal.addEventListener('abort', abort, { once: true });
  const conversation = new WebSocketConversation(socket);
  try {
    await conversation.readGreeting(signal);
  } finally {
    signal.removeEventListener('abort', abort);
  }
  return conversation;
}

class WebSocketConversation implements Conversation {
  readonly #socket: WebSocket;
  #server: Description | undefined;
  #waiting: { readonly resolve: (text: string) => void; readonly reject: (error: Error) => void } | undefined;
  #asked = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (message) => this.#waiting?.resolve(String(message)));
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', (code) => this.#waiting?.reject(new UnexpectedAnswerError(`closed: ${code}`)));
  }

  get isClosed(): boolean {
    return this.#socket.readyState !== WebSocket.OPEN;
  }

  async readGreeting(signal: AbortSignal): Promise<void> {
    this.#server = JSON.parse(await this.#message(signal)) as Description;
  }

  async ask(signal: AbortSignal): Promise<Answer> {
    const question = `question ${this.#asked++}`;
    const answer = this.#message(signal);
    this.#socket.send(question);
    const text = await answer;
    if (text !== question) throw new UnexpectedAnswerError(`sent "${question}", got "${text}"`);
    return { server: this.#server };
  }

  close(): void {
    this.#socket.terminate();
  }

  #message(signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }
}
