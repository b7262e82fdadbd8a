/**
 * The small file that the agent keeps on the node, and that the plugin goes by when the agent does not answer: which
 * namespaces are enrolled.
 *
 * It has no expiry. An old file still says best who is outside the mesh, and refusing to start any pod after a while
 * would turn an agent's absence into the node's. What it does not know is refused.
 */
import { NODE_FILE_MAX_BYTES } from './limits.ts';
import { parseJson, recordOf } from './json.ts';

/** `mixed`: not enrolled as a whole, but some of its pods are by a label of their own. */
export type NamespaceState = 'enrolled' | 'mixed' | 'outside';

export interface NodeFile {
  readonly writtenAtMs: number;
  readonly namespaces: ReadonlyMap<string, NamespaceState>;
}

const VERSION = 1;
const STATES: readonly NamespaceState[] = ['enrolled', 'mixed', 'outside'];

export function encodeNodeFile({ writtenAtMs, namespaces }: NodeFile): string {
  const sorted = [...namespaces].sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify({ version: VERSION, writtenAtMs, namespaces: Object.fromEntries(sorted) }, undefined, 1)}\n`;
}

/** `undefined` for what is not such a file, whole and of this version. */
export function decodeNodeFile(text: string): NodeFile | undefined {
  if (text.length > NODE_FILE_MAX_BYTES) return undefined;
  const file = recordOf(parseJson(text));
  const listed = recordOf(file?.['namespaces']);
  const writtenAtMs = file?.['writtenAtMs'];
  if (file?.['version'] !== VERSION || !listed || typeof writtenAtMs !== 'number') return undefined;
  const namespaces = new Map<string, NamespaceState>();
  for (const [name, value] of Object.entries(listed)) {
    const state = STATES.find((known) => known === value);
    if (state === undefined) return undefined;
    namespaces.set(name, state);
  }
  return { writtenAtMs, namespaces };
}
