/**
 * What is wrong with the mesh's settings, told wherever an operator may look: the log, a metric, an Event on the
 * ConfigMap, and, while nothing else is known, readiness.
 *
 * Settings that cannot be read never count as none: without its discovery selectors a mesh would take in every namespace.
 */
import type { Logger } from '@ambit/core/log';
import type { EventTeller } from '@ambit/kube/event-teller';
import { type ConfigMap, configMaps } from '@ambit/kube/resources/core';

export interface MeshConfigProblemsOptions {
  /** Of the ConfigMap. */
  readonly namespace: string;
  readonly name: string;
  readonly events: Pick<EventTeller, 'tell'>;
  /** After each look: whether the settings are wrong. */
  readonly observe: (isWrong: boolean) => void;
  readonly log: Logger;
}

export class MeshConfigProblems {
  readonly #options: MeshConfigProblemsOptions;
  #current: string | undefined;

  constructor(options: MeshConfigProblemsOptions) {
    this.#options = options;
    options.observe(false);
  }

  /** In words; `undefined`: the settings are right. */
  get current(): string | undefined {
    return this.#current;
  }

  /**
   * @param problem - `undefined`: the settings are right.
   * @param consequence - What is done in the meantime.
   * @param object - As it is known.
   */
  report(problem: string | undefined, consequence: string, object?: ConfigMap): void {
    const { namespace, name, events, observe, log } = this.#options;
    if (problem === this.#current) return;
    this.#current = problem;
    observe(problem !== undefined);
    const what = { configMap: `${namespace}/${name}` };
    if (problem === undefined) {
      log.info('the settings of the mesh are right again', what);
      return;
    }
    const message = `the settings of the mesh are wrong, ${consequence}: ${problem}`;
    log.error(message, what);
    events.tell(configMaps, object ?? { metadata: { namespace, name } }, {
      type: 'Warning',
      reason: 'MeshConfigInvalid',
      message,
      about: problem,
    });
  }
}
