import { expect, test } from '@jest/globals';
import { Connection } from './connection.ts';
import { DrainError, FaultError } from './errors.ts';
import type { Pod } from './pod.ts';

class Trial extends Connection {
  readonly failures: Error[] = [];

  attempt(error: unknown): void {
    this.step(() => {
      throw error;
    });
  }

  protected override readonly source = { ip: '10.0.0.9', port: 1 };
  protected override readonly receivedBytes = 0;
  protected override readonly sentBytes = 0;
  protected override readonly isAnswered = false;
  protected override release(): void {}
  protected override failed(error: Error): void {
    this.failures.push(error);
  }
}

const coded = (error: Error, code: string) => Object.assign(error, { code });

test.each<readonly [string, unknown, 'expected' | 'fault']>([
  ['an error of the mesh', new DrainError(), 'expected'],
  ['an error of the system', coded(new Error('read'), 'ECONNRESET'), 'expected'],
  ['a value that a function does not take', new TypeError('undefined has no such thing'), 'fault'],
  ['the same, found by Node', coded(new TypeError('a string is wanted'), 'ERR_INVALID_ARG_TYPE'), 'fault'],
  ['a number out of range, found by Node', coded(new RangeError('port'), 'ERR_SOCKET_BAD_PORT'), 'fault'],
  ['no error at all', 'words', 'fault'],
])('what ends a connection: %s', (_, error, kind) => {
  const faults: unknown[] = [];
  const pod = { connections: new Set(), tellFault: (fault: unknown) => void faults.push(fault) };
  const trial = new Trial(pod as unknown as Pod, 'outbound');
  trial.attempt(error);
  expect(trial.failures).toEqual([kind === 'fault' ? expect.any(FaultError) : error]);
  expect(faults).toEqual(kind === 'fault' ? [error] : []);
});
