/** Keeps the node file (node-file.ts) as namespaces and pods are: soon after a change, whole or not at all. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Collection } from '@ambit/collections/collection';
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Namespace, Pod } from '@ambit/kube/resources/core';
import { encodeNodeFile } from '../node-file.ts';
import { NODE_FILE } from '../names.ts';
import { type EligibilityRules, namespaceState } from './decide/eligibility.ts';
import { NODE_STATE_INTERVAL_MS } from './limits.ts';

export interface NodeFileOptions {
  readonly folder: string;
  readonly namespaces: Collection<string, Namespace>;
  /** Of this node; a namespace is `mixed` by what is seen here. */
  readonly pods: Collection<string, Pod>;
  readonly rules: EligibilityRules;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Writes once now, on every change of a namespace, and now and then, so that the file's age says that somebody lives. */
export function keepNodeFile(options: NodeFileOptions): Disposable {
  const { folder, namespaces, pods, rules, clock, log } = options;
  const write = () => {
    const states = [...namespaces.values()].map(
      ({ metadata: { name, labels = {} } }) =>
        [name, namespaceState(name, labels, pods.values(), rules)] as const,
    );
    const path = join(folder, NODE_FILE);
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(
        `${path}.new`,
        encodeNodeFile({ writtenAtMs: clock.now(), namespaces: new Map(states) }),
        { mode: 0o644 },
      );
      renameSync(`${path}.new`, path);
    } catch (error) {
      log.error('the node file cannot be written', { path, error: messageOf(error) });
    }
  };
  write();
  const subscription = namespaces.subscribe(write);
  const timer: Timer = clock.every(NODE_STATE_INTERVAL_MS, write);
  return {
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      timer.cancel();
    },
  };
}
