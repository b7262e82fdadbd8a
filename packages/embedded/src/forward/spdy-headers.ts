/** Header blocks of SPDY/3.1: names and values after their lengths, compressed in one stream per direction. */
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';
import { SPDY_DICTIONARY } from './spdy-dictionary.ts';

/** A header block, decompressed. */
const BLOCK_BYTES = 64 * 1024;

/** One direction's stream of blocks; a block must be done before the next one begins. */
class Codec {
  readonly #stream: Deflate | Inflate;
  #parts: Buffer[] = [];
  #size = 0;
  #fail: ((error: Error) => void) | undefined;

  constructor(stream: Deflate | Inflate) {
    this.#stream = stream;
    stream.on('data', (part: Buffer) => {
      this.#parts.push(part);
      this.#size += part.length;
      if (this.#size > BLOCK_BYTES)
        this.#fail?.(new Error(`SPDY header block of more than ${BLOCK_BYTES} bytes`));
    });
    stream.on('error', (error) => this.#fail?.(error));
  }

  async run(block: Buffer): Promise<Buffer> {
    return await new Promise((resolve, reject) => {
      this.#parts = [];
      this.#size = 0;
      this.#fail = reject;
      this.#stream.write(block);
      this.#stream.flush(constants.Z_SYNC_FLUSH, () => resolve(Buffer.concat(this.#parts)));
    });
  }

  close(): void {
    this.#stream.destroy();
  }
}

export class HeaderCodec implements Disposable {
  readonly #out = new Codec(createDeflate({ dictionary: SPDY_DICTIONARY }));
  readonly #in = new Codec(createInflate({ dictionary: SPDY_DICTIONARY }));

  async encode(headers: Readonly<Record<string, string>>): Promise<Buffer> {
    const parts = [word(Object.keys(headers).length)];
    for (const [name, value] of Object.entries(headers)) {
      parts.push(word(name.length), Buffer.from(name), word(Buffer.byteLength(value)), Buffer.from(value));
    }
    return await this.#out.run(Buffer.concat(parts));
  }

  async decode(block: Buffer): Promise<Readonly<Record<string, string>>> {
    return read(await this.#in.run(block));
  }

  [Symbol.dispose](): void {
    this.#out.close();
    this.#in.close();
  }
}

function word(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

function read(block: Buffer): Readonly<Record<string, string>> {
  let position = 0;
  const number = (): number => {
    if (position + 4 > block.length) throw new Error('SPDY header block is cut off');
    position += 4;
    return block.readUInt32BE(position - 4);
  };
  const text = (): string => {
    const length = number();
    if (length > block.length - position) throw new Error('SPDY header block is cut off');
    position += length;
    return block.toString('utf8', position - length, position);
  };
  const headers: Record<string, string> = {};
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase();
    const value = text();
    if (name !== '__proto__') headers[name] = value;
  }
  return headers;
}
