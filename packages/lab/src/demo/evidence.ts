/** What everybody said, for whoever wants to know why a step failed. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerLog } from '../kubelet/ended-logs.ts';

const UID_CHARACTERS = 8;

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
