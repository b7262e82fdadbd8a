/** One process per folder: a file that names its process, and is worthless once that process is gone. */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { codeOf } from '@ambit/core/errors';
import { StorageError } from '../errors.ts';

/** @throws {@link StorageError} while another process that lives has it. */
export function takeLock(path: string): Disposable {
  for (let attempt = 0; ; attempt++) {
    try {
      const descriptor = openSync(path, 'wx', 0o600);
      writeSync(descriptor, `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`);
      closeSync(descriptor);
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || attempt > 0)
        throw new StorageError(path, 'cannot be taken', { cause: error });
    }
    const [pid = '', startTime = ''] = readFileSync(path, 'utf8').trim().split(' ');
    const now = /^[1-9]\d*$/.test(pid) ? startTimeOf(Number(pid)) : undefined;
    if (now !== undefined && now === startTime)
      throw new StorageError(path, `the folder is in use by process ${pid}`);
    rmSync(path, { force: true });
  }
}

/** When a process started, as the kernel counts: tells it from a later one with the same number. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in parentheses, may hold anything; the 22nd field is the 20th after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
