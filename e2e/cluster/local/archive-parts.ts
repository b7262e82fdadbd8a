/**
 * Image archives share layers, and an import needs each layer once: what is left of an archive when the blobs that a node
 * has already are taken out, as ranges of the file.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { FilePart } from '../command.ts';

const BLOCK_SIZE_BYTES = 512;
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/;

/**
 * @param known - Digests of blobs that the node has; those of this archive are added.
 * @returns everything, if the file is no tar archive: who reads it says so better.
 */
export function partsWithout(archive: string, known: Set<string>): readonly FilePart[] {
  const file = openSync(archive, 'r');
  try {
    const { size } = fstatSync(file);
    const parts: FilePart[] = [];
    let keptFrom = 0;
    const header = Buffer.alloc(BLOCK_SIZE_BYTES);
    for (let at = 0; at + BLOCK_SIZE_BYTES <= size; ) {
      readSync(file, header, 0, BLOCK_SIZE_BYTES, at);
      const entry = entryIn(header);
      if (!entry) break;
      const next = at + BLOCK_SIZE_BYTES + Math.ceil(entry.sizeBytes / BLOCK_SIZE_BYTES) * BLOCK_SIZE_BYTES;
      const digest = BLOB.exec(entry.name)?.[1];
      if (digest !== undefined && known.has(digest)) {
        if (at > keptFrom) parts.push({ startByte: keptFrom, endByte: at });
        keptFrom = next;
      } else if (digest !== undefined) known.add(digest);
      at = next;
    }
    return keptFrom < size ? [...parts, { startByte: keptFrom, endByte: size }] : parts;
  } finally {
    closeSync(file);
  }
}

/** @returns `undefined` for the zeros at the end, and for what is no header. */
function entryIn(header: Buffer): { readonly name: string; readonly sizeBytes: number } | undefined {
  const text = (start: number, end: number) =>
    header.toString('latin1', start, end).replace(/\0.*$/s, '').trim();
  const sizeText = text(124, 136);
  if (!/^[0-7]+$/.test(sizeText) || !header.toString('latin1', 257, 262).startsWith('ustar'))
    return undefined;
  return { name: text(0, 100), sizeBytes: Number.parseInt(sizeText, 8) };
}
