/** What is wrong with a command line that `parseArgs` of Node refused. */

/** In words for who typed it; `undefined` if the error is about anything else. */
export function usageProblem(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error) || !('message' in error))
    return undefined;
  if (!String(error.code).startsWith('ERR_PARSE_ARGS_')) return undefined;
  // What follows is advice for operands that begin with a dash.
  return String(error.message).split(/\.\s|\.$|\n/)[0];
}
