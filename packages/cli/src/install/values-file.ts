/** The values that a call chooses: files first, in their order, then `--set`. */
import { readFile, stat } from 'node:fs/promises';
import { messageOf } from '@ambit/core/errors';
import { parse } from 'yaml';
import { UsageError } from '../errors.ts';
import { MAX_VALUES_FILE_BYTES } from '../limits.ts';
import {
  type ChosenValues,
  isProblem,
  mergeChosen,
  parseSet,
  type Problem,
  valuesOfDocument,
} from './decide/values.ts';

/** @throws {@link UsageError} naming the file or the option, and what is wrong with it. */
export async function readChosenValues(
  files: readonly string[],
  sets: readonly string[],
): Promise<ChosenValues> {
  let chosen: ChosenValues = {};
  for (const file of files) chosen = mergeChosen(chosen, await readValuesFile(file));
  for (const set of sets) chosen = mergeChosen(chosen, taken(parseSet(set)));
  return chosen;
}

async function readValuesFile(file: string): Promise<ChosenValues> {
  let document: unknown;
  try {
    if ((await stat(file)).size > MAX_VALUES_FILE_BYTES)
      throw new UsageError(`longer than ${MAX_VALUES_FILE_BYTES} bytes`);
    document = parse(await readFile(file, 'utf8'), { maxAliasCount: 100 }) as unknown;
  } catch (error) {
    throw new UsageError(`values file ${file}: ${messageOf(error)}`, { cause: error });
  }
  return taken(valuesOfDocument(document), `values file ${file}: `);
}

/** Decisions throw nothing: what they refuse is the command's error. */
function taken(outcome: ChosenValues | Problem, where = ''): ChosenValues {
  if (isProblem(outcome)) throw new UsageError(`${where}${outcome.problem}`);
  return outcome;
}
