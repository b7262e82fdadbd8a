/** Tells turns of this thread's event loop apart: what arrives within one was sent without knowing what was said in it. */

let current = 0;
let isAwaited = false;

/** The number of this turn. Each that somebody asks for is another than those before. */
export function thisTurn(): number {
  if (!isAwaited) {
    isAwaited = true;
    setImmediate(next);
  }
  return current;
}

function next(): void {
  isAwaited = false;
  current += 1;
}
