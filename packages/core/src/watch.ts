/** A value that changes, and those who want to know. Readers always see the latest; nobody sees a queue. */

export interface Watch<T> {
  readonly value: T;
  /** Calls `listener` after every change, synchronously, until disposed of. */
  subscribe(listener: (value: T) => void): Disposable;
}

export class Watched<T> implements Watch<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  get value(): T {
    return this.#value;
  }

  /** Sets the value and tells every listener, also when it is the same value. */
  set(value: T): void {
    this.#value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}

/** Resolves with the first value, now or later, for which `accepts` holds. */
export function until<T, S extends T>(
  watch: Watch<T>,
  accepts: (value: T) => value is S,
  signal: AbortSignal,
): Promise<S>;
export function until<T>(watch: Watch<T>, accepts: (value: T) => boolean, signal: AbortSignal): Promise<T>;
export function until<T>(watch: Watch<T>, accepts: (value: T) => boolean, signal: AbortSignal): Promise<T> {
  if (accepts(watch.value)) return Promise.resolve(watch.value);
  return new Promise((resolve, reject) => {
    const stop = () => {
      subscription[Symbol.dispose]();
      reject(signal.reason as Error);
    };
    const subscription = watch.subscribe((value) => {
      if (!accepts(value)) return;
      subscription[Symbol.dispose]();
      signal.removeEventListener('abort', stop);
      resolve(value);
    });
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
