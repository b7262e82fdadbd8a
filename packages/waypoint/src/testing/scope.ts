/** For tests: what a test opened is closed after it, the last first. */
import { afterEach } from '@jest/globals';

/** @returns what registers a thing and gives it back. */
export function testScope(): <T extends AsyncDisposable>(thing: T) => T {
  const open: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const thing of open.splice(0).reverse()) await thing[Symbol.asyncDispose]();
  });
  return (thing) => {
    open.push(thing);
    return thing;
  };
}
