/**
 * Where the network namespace of each pod of this node is, as the plugin reported it when the pod started.
 *
 * Kept in a file, so that an agent that restarts need not search. It is a hint and no more: whoever opens a namespace by
 * it checks that it carries the pod's addresses. A file that is damaged is as good as none.
 */
import { readFileSync } from 'node:fs';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { parseJson, recordOf, textOf } from '../json.ts';
import { writeAtomically } from './install/files.ts';
import { MAX_REPORTED_PODS } from './limits.ts';

/** Where a container's namespace is, as seen from here. */
export interface NetnsReport {
  readonly path: string;
  readonly containerId: string;
}

export class NetnsReports {
  readonly #path: string;
  readonly #log: Logger;
  /** By the pod's UID, oldest first. */
  readonly #reports = new Map<string, NetnsReport>();

  /** @param path - Of the file; read now. */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    for (const [uid, value] of Object.entries(recordOf(readJson(path)) ?? {})) {
      const report = recordOf(value);
      const [netns, containerId] = [textOf(report?.['path']), textOf(report?.['containerId'])];
      if (netns !== undefined && containerId !== undefined)
        this.#reports.set(uid, { path: netns, containerId });
    }
  }

  get(uid: string): NetnsReport | undefined {
    return this.#reports.get(uid);
  }

  /** The newest report counts: a sandbox may be made anew. Past the limit the oldest is forgotten. */
  set(uid: string, report: NetnsReport): void {
    const known = this.#reports.get(uid);
    if (known?.path === report.path && known.containerId === report.containerId) return;
    this.#reports.delete(uid);
    this.#reports.set(uid, report);
    for (const oldest of this.#reports.keys()) {
      if (this.#reports.size <= MAX_REPORTED_PODS) break;
      this.#reports.delete(oldest);
    }
    this.#write();
  }

  delete(uid: string): void {
    if (this.#reports.delete(uid)) this.#write();
  }

  /** The runtime has ended this container. */
  deleteContainer(containerId: string): void {
    this.#deleteWhere((report) => report.containerId === containerId);
  }

  /** The runtime knows these containers and no others. */
  keepContainers(containerIds: ReadonlySet<string>): void {
    this.#deleteWhere((report) => !containerIds.has(report.containerId));
  }

  #deleteWhere(isGone: (report: NetnsReport) => boolean): void {
    const gone = [...this.#reports].filter(([, report]) => isGone(report)).map(([uid]) => uid);
    for (const uid of gone) this.#reports.delete(uid);
    if (gone.length > 0) this.#write();
  }

  #write(): void {
    try {
      writeAtomically(
        this.#path,
        `${JSON.stringify(Object.fromEntries(this.#reports), undefined, 1)}\n`,
        0o600,
      );
    } catch (error) {
      this.#log.warn('the file of reported namespaces cannot be written', {
        path: this.#path,
        error: messageOf(error),
      });
    }
  }
}

function readJson(path: string): unknown {
  try {
    return parseJson(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
