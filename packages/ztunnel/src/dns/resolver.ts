/**
 * Answers the questions of one pod: from the mesh what it knows, from upstream everything else, unchanged.
 *
 * A question always gets an answer, if only SERVFAIL, and never a wrong one: without knowing who asks, the mesh's names
 * mean nothing, so then nothing is answered.
 */
import type { Clock, Random } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { until } from '@ambit/core/watch';
import { decideDnsAnswer, type DnsDecision, type DnsOptions } from '@ambit/model/dns-answer';
import type { MeshStore } from '@ambit/model/store';
import type { LocalPod, Workload } from '@ambit/model/workload';
import type { InFlight } from './in-flight.ts';
import { QUERY_TIMEOUT_MS, WORKLOAD_WAIT_MS } from './limits.ts';
import { CLASS_IN, type DnsQuery, parseQuery, RCODE, TYPE } from './query.ts';
import { type DnsLabels, type DnsRecorder, typeName } from './recorder.ts';
import { addressReply, errorReply, rcodeOf, truncatedReply, udpLimit } from './reply.ts';
import type { DnsProtocol, Upstream } from './upstream.ts';

export interface ResolverOptions {
  readonly pod: LocalPod;
  readonly mesh: Pick<MeshStore, 'localWorkload' | 'expectedWorkload' | 'changes'> &
    Parameters<typeof decideDnsAnswer>[0];
  readonly dns: DnsOptions;
  readonly upstream: Pick<Upstream, 'ask'>;
  readonly inFlight: InFlight;
  readonly recorder: DnsRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Resolver {
  readonly #options: ResolverOptions;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** @returns The answer's bytes, or `undefined` for what cannot be answered at all. Never rejects. */
  async answer(bytes: Uint8Array, protocol: DnsProtocol): Promise<Uint8Array | undefined> {
    const parsed = parseQuery(bytes);
    if (parsed.kind === 'drop') return undefined;
    if (parsed.kind === 'error') return errorReply(parsed.envelope, parsed.rcode);
    const { query } = parsed;
    const reply = await this.#reply(query, protocol);
    return protocol === 'udp' && reply.length > udpLimit(query) ? truncatedReply(query) : reply;
  }

  async #reply(query: DnsQuery, protocol: DnsProtocol): Promise<Uint8Array> {
    const { recorder, inFlight, log, pod } = this.#options;
    const known = this.#client();
    const local = known && this.#decide(query, known);
    if (known && local?.kind === 'answer') {
      recorder.request(labelsOf(query, protocol, known));
      return this.#answerOf(query, known, local);
    }
    using place = inFlight.enter();
    if (place === undefined) {
      log.warn('too many questions under way', {
        pod: pod.name,
        namespace: pod.namespace,
        limit: inFlight.count,
      });
      return errorReply(query, RCODE.servFail);
    }
    const client = known ?? (await this.#clientWhenKnown());
    recorder.request(labelsOf(query, protocol, client));
    if (client === undefined) {
      log.debug('question of an unknown workload', { pod: pod.name, namespace: pod.namespace });
      return errorReply(query, RCODE.servFail);
    }
    const decision = known ? local : this.#decide(query, client);
    if (decision?.kind === 'answer') return this.#answerOf(query, client, decision);
    return await this.#forward(query, protocol, client);
  }

  /** `undefined` for what only upstream resolvers know: other types, other classes, odd names. */
  #decide({ name, type, class: klass }: DnsQuery, client: Workload): DnsDecision | undefined {
    const { mesh, dns } = this.#options;
    if (name === undefined || klass !== CLASS_IN || (type !== TYPE.a && type !== TYPE.aaaa)) return undefined;
    return decideDnsAnswer(mesh, client, name, type === TYPE.a ? 4 : 6, dns);
  }

  #answerOf(
    query: DnsQuery,
    client: Workload,
    decision: DnsDecision & { readonly kind: 'answer' },
  ): Uint8Array {
    const { service, ips, alias } = decision;
    this.#log(query, client, 'mesh', service.hostname, ips.length);
    const labels = alias === undefined ? undefined : alias.split('.').length;
    return addressReply(query, shuffled(ips, this.#options.random), labels);
  }

  async #forward(query: DnsQuery, protocol: DnsProtocol, client: Workload): Promise<Uint8Array> {
    const { recorder, upstream, clock, log } = this.#options;
    const labels = labelsOf(query, protocol, client);
    recorder.upstreamRequest(labels);
    const startedMs = clock.monotonicMs();
    try {
      const answer = await upstream.ask(query, protocol);
      recorder.upstreamAnswer(labels, (clock.monotonicMs() - startedMs) / 1000);
      this.#log(query, client, `upstream rcode ${rcodeOf(answer)}`, '', 0);
      return answer;
    } catch (error) {
      recorder.upstreamFailure(labels);
      log.debug('upstream resolvers failed', { query: query.name, error: messageOf(error) });
      return errorReply(query, RCODE.servFail);
    }
  }

  async #clientWhenKnown(): Promise<Workload | undefined> {
    const { mesh, clock } = this.#options;
    const late = new AbortController();
    const timer = clock.after(Math.min(WORKLOAD_WAIT_MS, QUERY_TIMEOUT_MS), () => late.abort());
    const isKnown = () => this.#client() !== undefined;
    await until(mesh.changes, isKnown, late.signal).catch(() => undefined);
    timer.cancel();
    return this.#client();
  }

  /** What mesh state says of the pod, or else what the node agent said. */
  #client(): Workload | undefined {
    const { mesh, pod } = this.#options;
    return mesh.localWorkload(pod) ?? mesh.expectedWorkload(pod);
  }

  #log(query: DnsQuery, client: Workload, result: string, domain: string, endpoints: number): void {
    if (!this.#options.log.enabled('debug')) return;
    this.#options.log.debug('question answered', {
      'src.workload': client.name,
      'src.namespace': client.namespace,
      query: query.name,
      domain,
      result,
      endpoints,
    });
  }
}

function labelsOf(query: DnsQuery, protocol: DnsProtocol, client: Workload | undefined): DnsLabels {
  return {
    request_query_type: typeName(query.type),
    request_protocol: protocol,
    source_canonical_service: client?.canonicalName || 'unknown',
    source_canonical_revision: client?.canonicalRevision || 'unknown',
  };
}

/** So that clients which take the first address spread over all of them. */
function shuffled(ips: readonly string[], random: Random): readonly string[] {
  const order = [...ips];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const moved = order[last] ?? '';
    order[last] = order[other] ?? '';
    order[other] = moved;
  }
  return order;
}
