/**
 * Waiting until a descriptor can be read, on Node's own event loop: for sockets that Node has no class for.
 *
 * Node's pipe handle polls any descriptor. Given an empty buffer it never reads: libuv finds no room, says so, and asks
 * again as long as there is something to read. That takes no thread, keeps the process alive as a socket would, and stops
 * at once; a thread blocked in poll(2) costs 10 MB, and an asynchronous FFI call still pending at exit crashes Node. The
 * handle is internal to Node though stable for years: `readiness.test.ts` fails the day it changes.
 */
import { Socket } from 'node:net';
import { LinuxError } from './errors.ts';
import { libc } from './libc.ts';

/** The part of Node's internal pipe handle that is used here. */
interface PipeHandle {
  onread: () => void;
  open(fd: number): number;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  close(): void;
}
type PipeClass = new (type: 0) => PipeHandle;

const NOTHING = Buffer.alloc(0);

/** Owns a non-blocking descriptor and tells when it has something to read. One waiter at a time. */
export class Readiness implements Disposable {
  readonly #handle: PipeHandle;
  #wake: (() => void) | undefined;
  #closed = false;

  /** Takes `fd` over, also when this throws. */
  constructor(fd: number) {
    this.#handle = new (pipeClass())(0);
    const result = this.#handle.open(fd);
    if (result < 0) {
      libc.close(fd);
      throw new LinuxError('fcntl', -result, `descriptor ${fd}`);
    }
    this.#handle.useUserBuffer(NOTHING);
    this.#handle.onread = () => this.#settle();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when there is something to read (or the end), and when this is closed. */
  readable(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#wake) throw new TypeError('Readiness: somebody waits already');
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#handle.readStart();
    });
  }

  /** Closes the descriptor. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#settle();
    this.#handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #settle(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    this.#handle.readStop();
    wake?.();
  }
}

let knownClass: PipeClass | undefined;

/** Node shows the class only through a socket that uses it. */
function pipeClass(): PipeClass {
  if (knownClass) return knownClass;
  const probe = new Socket();
  probe.on('error', () => undefined);
  probe.connect({ path: '\0' });
  const { _handle: handle } = probe as unknown as { readonly _handle: PipeHandle };
  knownClass = handle.constructor as PipeClass;
  probe.destroy();
  return knownClass;
}
