/** What everybody said, for whoever wants to know why a step failed. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerLog } from '../kubelet/ended-logs.ts';

const UID_CHARACTERS = 8;
const MAX_FAILED_LINES = 10;
const MAX_LINE_CHARACTERS = 300;

/**
 * A file for each container, named after node, namespace, pod, container and the pod's UID, and one with what the demo
 * printed. Lines have their time to the millisecond, so that files can be read side by side.
 */
export function saveEvidence(folder: string, logs: readonly ContainerLog[], story: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'demo.log'), `${story.join('\n')}\n`);
  for (const { node, namespace, pod, container, uid, text } of logs)
    writeFileSync(
      join(folder, `${[node, namespace, pod, container, uid.slice(0, UID_CHARACTERS)].join('.')}.log`),
      text,
    );
}

/** What the programs of `namespace` reported as failed: the last of it, oldest first, and how much more there was. */
export function failedLines(logs: readonly ContainerLog[], namespace: string): readonly string[] {
  const all = logs
    .filter((log) => log.namespace === namespace)
    .flatMap(({ pod, text }) =>
      text
        .toString()
        .split('\n')
        .filter((line) => / failed after \d+ ms/.test(line))
        .map((line) => ({ line, shown: `${pod}: ${line.slice(0, MAX_LINE_CHARACTERS)}` })),
    )
    // Each begins with its time.
    .sort((a, b) => (a.line < b.line ? -1 : 1));
  const more = all.length - MAX_FAILED_LINES;
  return [
    ...(more > 0 ? [`${more} earlier ones, and then:`] : []),
    ...all.slice(-MAX_FAILED_LINES).map(({ shown }) => shown),
  ];
}
