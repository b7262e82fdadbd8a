/** Checks on decoded fields. What fails them ends the decoding of its resource with a {@link Problem}. */
import { MeshError } from '@ambit/core/errors';
import { MAX_NAME_LENGTH } from '../limits.ts';

/** A resource says something that no workload, service or policy can mean. Caught where decoding began. */
export class Problem extends MeshError {
  readonly code = 'BAD_RESOURCE';
  readonly side = 'internal';
}

export function nameOf(text: string, field: string): string {
  if (text.length > MAX_NAME_LENGTH) throw new Problem(`${field}: longer than ${MAX_NAME_LENGTH} characters`);
  return text;
}

export function portOf(port: number, field: string): number {
  if (port > 65_535) throw new Problem(`${field}: ${port} is not a port`);
  return port;
}

export function atMost<T>(values: readonly T[], limit: number, field: string): readonly T[] {
  if (values.length > limit)
    throw new Problem(`${field}: ${values.length} values where at most ${limit} are taken`);
  return values;
}

/** The word for a number of an enumeration; a number that the table does not know is a problem. */
export function pick<T>(words: Readonly<Record<number, T>>, number: number, field: string): T {
  if (!Object.hasOwn(words, number)) throw new Problem(`${field}: unsupported value ${number}`);
  return words[number] as T;
}
