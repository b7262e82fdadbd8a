/** What a gRPC call ended with, in the words that matter: the status and the last error, without the client's framing. */

const PREAMBLE = /^(?:[a-z_]+: )?No connection established\. Last error: (?:Error: )?/;
/** When it happened, which whoever prints it says anyhow; and it would make equal causes differ. */
const TIME = / \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/;
const NOTE = /\.? Resolution note: ?(.*)$/s;

/**
 * `UNAVAILABLE: connect ECONNREFUSED 10.96.0.9:15012`.
 *
 * @param status - The name of the status code.
 * @param details - As the client gives them.
 */
export function rpcProblem(status: string, details: string): string {
  const note = NOTE.exec(details)?.[1]?.trim() ?? '';
  const said = details.replace(NOTE, '').replace(PREAMBLE, '').replace(TIME, '').trim();
  const error = said === 'null' || said === '' ? 'no connection' : said;
  return `${status}: ${error}${note === '' ? '' : `; ${note}`}`;
}
