import { closeSync, openSync, readSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { elfNeeds, type ReadAt } from './elf.ts';

const of =
  (bytes: Buffer): ReadAt =>
  (offset, length) =>
    bytes.subarray(offset, offset + length);

test('what Node needs, and room for a search path', () => {
  const fd = openSync(process.execPath, 'r');
  const { libraries, loader, edits } = elfNeeds((offset, length) => {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
  });
  closeSync(fd);
  expect(libraries).toEqual(expect.arrayContaining(['libc.so.6', 'libstdc++.so.6']));
  expect(loader).toMatch(/^\/lib.*\/ld-linux-.*\.so\.\d$/);
  expect(edits.map(({ bytes }) => bytes.length)).toEqual(['$ORIGIN\0'.length, 16]);
});

describe('refused', () => {
  const elf = (over: (file: Buffer) => void = () => undefined) => {
    const file = Buffer.alloc(64);
    file.write('\x7fELF\x02\x01', 'latin1');
    file.writeBigUInt64LE(64n, 32);
    file.writeUInt16LE(56, 54);
    over(file);
    return file;
  };
  const cases: Record<string, { file: Buffer; says: RegExp }> = {
    nothing: { file: Buffer.alloc(0), says: /not a program/ },
    'a script': { file: Buffer.from(`#!/bin/sh\n${' '.repeat(100)}`), says: /not a program/ },
    'a program for 32 bits': { file: elf((file) => file.writeUInt8(1, 4)), says: /not a program/ },
    'one that is cut off': { file: elf((file) => file.writeUInt16LE(9, 56)), says: /cut off/ },
    'one that is linked statically': { file: elf(), says: /asks for no loader/ },
  };
  test.each(Object.entries(cases))('%s', (_, { file, says }) => {
    expect(() => elfNeeds(of(file))).toThrow(says);
  });
});
