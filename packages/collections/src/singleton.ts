/**
 * One value computed from whole collections: the mesh's settings, the oldest policy, a count.
 *
 * It runs again after any change of any input, so it is for inputs that are few or change seldom.
 */
import type { Collection, GraphNode } from './collection.ts';
import { type Equals, MapCollection } from './map-collection.ts';
import type { Runnable, Scheduler } from './scheduler.ts';

/** The key of a singleton's value, for those who fetch it. */
export const ONLY = 'only';

export interface SingletonOptions<V> {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly inputs: readonly GraphNode[];
  readonly compute: () => V | undefined;
  readonly equals?: Equals<V>;
}

export class Singleton<V> extends MapCollection<typeof ONLY, V> implements Runnable, Disposable {
  readonly order: number;
  readonly #options: SingletonOptions<V>;
  readonly #subscriptions = new DisposableStack();

  constructor(options: SingletonOptions<V>) {
    const { name, scheduler, inputs, equals } = options;
    super({ name, inputs, equals });
    this.order = scheduler.nextOrder();
    this.#options = options;
    const again = () => scheduler.schedule(this);
    for (const input of inputs as readonly Collection<unknown, unknown>[]) {
      this.#subscriptions.use(input.subscribe(again));
      this.#subscriptions.use(input.synced.subscribe(again));
    }
    again();
  }

  get value(): V | undefined {
    return this.get(ONLY);
  }

  /** Called by the scheduler. */
  run(): void {
    const { compute, name, scheduler } = this.#options;
    if (!this.inputs.every((input) => input.synced.value)) return;
    try {
      this.commit([[ONLY, compute()]]);
    } catch (error) {
      scheduler.report(name, ONLY, error);
    }
    this.markSynced();
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose();
    this.#options.scheduler.forget(this);
  }
}
