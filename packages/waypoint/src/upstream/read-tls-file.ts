/** Reads a file that a user named, which may be anything: only a regular one of bounded size is read. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { codeOf } from '@ambit/core/errors';
import { MAX_TLS_FILE_BYTES } from '../limits.ts';

/** @returns `undefined`: there is none. @throws {@link Error} when it cannot be read; it names the file. */
export async function readTlsFile(path: string): Promise<string | undefined> {
  let file: FileHandle | undefined;
  try {
    // A pipe that nobody writes to would keep whoever opens it.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error(`${path} is no file`);
    if (stat.size > MAX_TLS_FILE_BYTES) throw new Error(`${path} has more than ${MAX_TLS_FILE_BYTES} bytes`);
    const bytes = Buffer.alloc(stat.size);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    const text = bytes.toString('utf8', 0, bytesRead);
    bytes.fill(0);
    return text;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw code === undefined ? error : new Error(`${path} cannot be read: ${code}`, { cause: error });
  } finally {
    await file?.close();
  }
}
