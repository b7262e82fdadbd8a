/**
 * The open streams of a connection, by their numbers.
 *
 * No Map: its tables each point to the one that replaced them, so that once one of them is old, V8's collector of young
 * garbage takes all that follow, and the streams in them, for alive. On a busy connection a quarter of everything that
 * was allocated for requests came to the old generation that way. Here nothing that is closed is pointed at.
 */

const SMALLEST_CAPACITY = 8;
/** Streams of one side have every second number. */
const ID_STEP_BITS = 1;

interface Numbered {
  readonly id: number;
}

export class StreamTable<Stream extends Numbered> {
  /** Open addressing: a stream stands in the first free place from its own on, with no free place between. */
  #places: (Stream | undefined)[] = new Array<Stream | undefined>(SMALLEST_CAPACITY).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Stream | undefined {
    return this.#places[this.#find(id)];
  }

  /** @param stream - With a number that no stream here has. */
  add(stream: Stream): void {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    this.#places[this.#find(stream.id)] = stream;
    this.#size += 1;
  }

  delete(id: number): void {
    const places = this.#places;
    let free = this.#find(id);
    if (places[free] === undefined) return;
    this.#size -= 1;
    // Whoever stands behind moves up, unless that were before their own place.
    for (let at = this.#after(free); ; at = this.#after(at)) {
      const stream = places[at];
      if (stream === undefined) break;
      if (this.#distance(this.#home(stream.id), at) < this.#distance(free, at)) continue;
      places[free] = stream;
      free = at;
    }
    places[free] = undefined;
  }

  /** Those that are open now, whatever is opened and closed meanwhile. */
  values(): readonly Stream[] {
    return this.#places.filter((stream) => stream !== undefined);
  }

  /** Where the stream stands, or would. */
  #find(id: number): number {
    let at = this.#home(id);
    for (let stream = this.#places[at]; stream; stream = this.#places[at]) {
      if (stream.id === id) break;
      at = this.#after(at);
    }
    return at;
  }

  #home(id: number): number {
    return (id >>> ID_STEP_BITS) & (this.#places.length - 1);
  }

  #after(at: number): number {
    return (at + 1) & (this.#places.length - 1);
  }

  #distance(from: number, to: number): number {
    return (to - from) & (this.#places.length - 1);
  }

  #grow(): void {
    const streams = this.values();
    this.#places = new Array<Stream | undefined>(this.#places.length * 2).fill(undefined);
    for (const stream of streams) this.#places[this.#find(stream.id)] = stream;
  }
}
