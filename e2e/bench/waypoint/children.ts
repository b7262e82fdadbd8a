/** Processes of a benchmark: started, waited for, and ended with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

/** Ends with SIGKILL what does not end by itself. */
const END_MS = 3_000;
const READY_MS = 20_000;

export class Child implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #name: string;
  #errors = '';

  constructor(name: string, command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [program = '', ...args] = command;
    this.#name = name;
    this.#process = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#process.stderr?.on('data', (text: Buffer) => {
      this.#errors = `${this.#errors}${String(text)}`.slice(-2_000);
    });
    this.#process.on('error', () => undefined);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Resolves when something listens there. */
  async listening(port: number): Promise<void> {
    for (let waited = 0; waited < READY_MS; waited += 50) {
      if (this.#process.exitCode !== null || this.#process.pid === undefined) break;
      if (await accepts(port)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${this.#name} does not listen on ${port}: ${this.#errors || 'it says nothing'}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.pid === undefined) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGTERM');
    const late = setTimeout(() => this.#process.kill('SIGKILL'), END_MS);
    await closed;
    clearTimeout(late);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
