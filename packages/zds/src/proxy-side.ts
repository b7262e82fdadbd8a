/**
 * ztunnel's end: dials the agent for ever, and turns what it says into pods to serve.
 *
 * Each message is answered exactly once and in order, because the agent matches answers to messages by order alone; an agent
 * that does not wait for answers has several pods started at the same time. A pod that cannot be served is refused, kept,
 * and tried again; one that waits outside while its connections could not be carried is refused, too, until the agent asks again.
 * What breaks the protocol ends the connection, never the process: pods that are served stay served, and readiness says
 * that the agent is not heard.
 */
import { fstatSync } from 'node:fs';
import { Backoff } from '@ambit/core/backoff';
import type { Clock, Random, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Service } from '@ambit/core/service';
import { type Watch, Watched } from '@ambit/core/watch';
import { closeFd, duplicateFd } from '@ambit/linux/descriptors';
import { connectSeqpacket, type ReceivedMessage, type SeqpacketConnection } from '@ambit/linux/seqpacket';
import { Answers } from './answers.ts';
import { ZdsProtocolError } from './errors.ts';
import {
  ADMISSION_TIMEOUT_MS,
  RECONNECT_INITIAL_MS,
  RECONNECT_MAX_MS,
  RETRY_INTERVAL_MS,
  START_TIMEOUT_MS,
} from './limits.ts';
import { decodeRequest, encodeAck, encodeHello, type ZdsPod, type ZdsRequest } from './messages.ts';
import { type NetnsId, ZdsSession } from './session.ts';

/** Serves pods. Calls for one pod come in order, but a call may come before an earlier one has settled. */
export interface ZdsHandler {
  /**
   * Opens the pod's listeners and resolves when they accept.
   *
   * @param netnsFd - The handler owns it and closes it, also when it rejects.
   * @throws Any error: the agent is told its message, and the same pod comes again some seconds later.
   */
  add(pod: ZdsPod, netnsFd: number): Promise<void>;
  /** The pod's connections are redirected, or will be in a moment; it is said again with each announcement. */
  redirected(pod: ZdsPod): void;
  /**
   * Resolves when the connections of a pod that waits outside can be carried; its agent redirects them then.
   *
   * @param signal - Aborts when the agent must be told something.
   * @throws Any error: the agent is told its message. The pod's listeners stay.
   */
  admit(pod: ZdsPod, signal: AbortSignal): Promise<void>;
  /** Stops serving. Nobody waits for the result; a rejection is logged. */
  remove(uid: string): Promise<void>;
}

export interface ZdsState {
  readonly connected: boolean;
  readonly snapshotReceived: boolean;
  /** Pods announced that could not be served so far. */
  readonly pending: readonly string[];
  /** The agent is connected and all it named is served. */
  readonly ready: boolean;
}

export interface ZdsClientOptions {
  /** Of the agent's socket. */
  readonly path: string;
  readonly handler: ZdsHandler;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

interface PendingPod {
  readonly pod: ZdsPod;
  readonly netns: NetnsId;
  /** Ours; each attempt gets a duplicate. */
  readonly fd: number;
  attempting: boolean;
}

const YES = Promise.resolve('');

export class ZdsClient implements Service {
  readonly name = 'zds';
  readonly #options: ZdsClientOptions;
  readonly #session = new ZdsSession();
  readonly #pending = new Map<string, PendingPod>();
  readonly #state = new Watched<ZdsState>({
    connected: false,
    snapshotReceived: false,
    pending: [],
    ready: false,
  });
  readonly #stop = new AbortController();
  #connection: SeqpacketConnection | undefined;
  #loop: Promise<void> | undefined;
  #retries: Timer | undefined;

  constructor(options: ZdsClientOptions) {
    this.#options = options;
  }

  get state(): Watch<ZdsState> {
    return this.#state;
  }

  /** Starts dialling; does not wait for the agent, which `state` tells about. */
  start(_signal: AbortSignal): Promise<void> {
    this.#retries = this.#options.clock.every(RETRY_INTERVAL_MS, () => void this.#retryPending());
    this.#loop = this.#run();
    return Promise.resolve();
  }

  /** Stops listening to the agent. Pods stay as they are. */
  async drain(): Promise<void> {
    this.#stop.abort();
    this.#retries?.cancel();
    this.#connection?.close();
    await this.#loop;
    this.#forgetPending();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  async #run(): Promise<void> {
    const { clock, random, log, path } = this.#options;
    const backoff = new Backoff(
      { initialMs: RECONNECT_INITIAL_MS, maxMs: RECONNECT_MAX_MS, jitter: 0.2 },
      random,
    );
    let told = '';
    while (!this.#stop.signal.aborted) {
      try {
        using connection = connectSeqpacket(path);
        this.#connection = connection;
        await this.#converse(connection, () => backoff.reset());
        told = '';
        log.info('node agent closed the connection');
      } catch (error) {
        // An agent that is away for long is said once, not with each attempt.
        const problem = messageOf(error);
        const level = problem === told ? 'debug' : 'warn';
        told = problem;
        log[level]('conversation with the node agent failed', { path, error: problem });
      }
      this.#session.disconnected();
      this.#publish(false);
      if (this.#stop.signal.aborted) return;
      await clock.sleep(backoff.nextMs(), this.#stop.signal).catch(() => undefined);
    }
  }

  /** Until the agent closes; throws what ended the conversation otherwise. */
  async #converse(connection: SeqpacketConnection, heard: () => void): Promise<void> {
    this.#forgetPending();
    this.#session.connected();
    connection.send(encodeHello());
    this.#publish(true);
    this.#options.log.info('connected to the node agent', { path: this.#options.path });
    const answers = new Answers(connection);
    for (;;) {
      await answers.room();
      const message = await this.#receive(connection, answers);
      if (!message) return;
      const { answer } = await this.#handle(connection, message, answers);
      answers.add(answer);
      // Only what was understood counts: an agent that speaks nonsense is not dialled in a loop.
      heard();
      this.#publish(true);
    }
  }

  async #receive(connection: SeqpacketConnection, answers: Answers): Promise<ReceivedMessage | undefined> {
    try {
      return await connection.receive();
    } catch (error) {
      await answers.sent();
      refuse(connection, `failure to read message: ${messageOf(error)}`);
      throw error;
    }
  }

  /** @returns the text of the ack, within a value, since it may not be known yet. It never rejects. */
  async #handle(
    connection: SeqpacketConnection,
    message: ReceivedMessage,
    answers: Answers,
  ): Promise<{ readonly answer: Promise<string> }> {
    let request: ZdsRequest;
    try {
      request = decodeRequest(message.bytes);
      if (request.kind === 'add' && message.fd === undefined)
        throw new ZdsProtocolError('AddWorkload without a network namespace');
      if (request.kind !== 'add' && message.fd !== undefined)
        throw new ZdsProtocolError(`${request.kind} message with a descriptor`);
    } catch (error) {
      if (message.fd !== undefined) closeFd(message.fd);
      await answers.sent();
      refuse(connection, `failure to read message: ${messageOf(error)}`);
      throw error;
    }
    try {
      return { answer: this.#apply(request, message.fd ?? -1) };
    } catch (error) {
      await answers.sent();
      refuse(connection, `failure to process message: ${messageOf(error)}`);
      throw error;
    }
  }

  /** @throws {@link ZdsProtocolError} at once. */
  #apply(request: ZdsRequest, fd: number): Promise<string> {
    switch (request.kind) {
      case 'add':
        return this.#add(request.pod, fd);
      case 'keep':
        this.#session.keep(request.uid);
        return YES;
      case 'del':
        this.#remove(this.#session.delete(request.uid));
        return YES;
      case 'snapshot-sent':
        this.#remove(this.#session.snapshotSent());
        return YES;
      default:
        return request satisfies never;
    }
  }

  #add(pod: ZdsPod, fd: number): Promise<string> {
    // An agent does nothing about answers to its snapshot, and asks again about those that wait outside.
    const isAsked = pod.waitsOutside === true && this.#session.snapshotReceived;
    const answerByMs = this.#options.clock.monotonicMs() + START_TIMEOUT_MS;
    let netns: NetnsId;
    let decision: ReturnType<ZdsSession['add']>;
    try {
      const { dev, ino } = fstatSync(fd, { bigint: true });
      netns = `${dev}:${ino}`;
      decision = this.#session.add(pod, netns);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    if (decision === 'running') {
      closeFd(fd);
      if (pod.waitsOutside !== true) this.#options.handler.redirected(pod);
      return isAsked ? this.#admit(pod, answerByMs) : YES;
    }
    if (decision === 'restart' || this.#pending.get(pod.uid)?.attempting) this.#remove([pod.uid]);
    this.#forget(pod.uid);
    const pending: PendingPod = { pod, netns, fd, attempting: false };
    this.#pending.set(pod.uid, pending);
    return this.#start(pending, isAsked, answerByMs);
  }

  async #start(pending: PendingPod, isAsked: boolean, answerByMs: number): Promise<string> {
    const problem = await this.#attempt(pending);
    if (problem !== undefined) return `failure to start proxy: ${problem}`;
    // Another message about it may have come meanwhile.
    const isCurrent = this.#session.runsIn(pending.pod.uid) === pending.netns;
    return isAsked && isCurrent ? await this.#admit(pending.pod, answerByMs) : '';
  }

  async #admit(pod: ZdsPod, answerByMs: number): Promise<string> {
    const { clock, handler, log } = this.#options;
    const patience = new AbortController();
    const waitMs = Math.max(0, Math.min(ADMISSION_TIMEOUT_MS, answerByMs - clock.monotonicMs()));
    const timer = clock.after(waitMs, () => patience.abort(new Error(`still waited for after ${waitMs} ms`)));
    try {
      await handler.admit(pod, patience.signal);
      handler.redirected(pod);
      return '';
    } catch (error) {
      const problem = messageOf(error);
      log.debug('a pod is not let into the mesh yet', { ...fieldsOf(pod), error: problem });
      return problem;
    } finally {
      timer.cancel();
    }
  }

  /** What kept it from starting within the time that the agent waits; a slower start may still succeed. */
  async #attempt(pending: PendingPod): Promise<string | undefined> {
    const { clock, handler, log } = this.#options;
    const { pod } = pending;
    pending.attempting = true;
    const attempt = (async () => {
      try {
        await handler.add(pod, duplicateFd(pending.fd));
      } catch (error) {
        log.warn('a pod cannot be served', { ...fieldsOf(pod), error: messageOf(error) });
        return messageOf(error);
      } finally {
        pending.attempting = false;
      }
      if (this.#pending.get(pod.uid) !== pending || !this.#session.started(pod.uid, pending.netns))
        return undefined;
      this.#forget(pod.uid);
      this.#publish(this.#state.value.connected);
      if (pod.waitsOutside !== true) handler.redirected(pod);
      return undefined;
    })();
    const patience = new AbortController();
    const timeout = clock.sleep(START_TIMEOUT_MS, patience.signal).then(
      () => `not serving after ${START_TIMEOUT_MS} ms`,
      () => undefined,
    );
    const problem = await Promise.race([attempt, timeout]);
    patience.abort();
    return problem;
  }

  async #retryPending(): Promise<void> {
    const waiting = [...this.#pending.values()].filter(({ attempting }) => !attempting);
    await Promise.all(waiting.map((pending) => this.#attempt(pending)));
  }

  #remove(uids: readonly string[]): void {
    for (const uid of uids) {
      this.#forget(uid);
      this.#options.handler.remove(uid).catch((error: unknown) => {
        this.#options.log.warn('a pod was not stopped cleanly', { uid, error: messageOf(error) });
      });
    }
  }

  #forget(uid: string): void {
    const pending = this.#pending.get(uid);
    if (pending) closeFd(pending.fd);
    this.#pending.delete(uid);
  }

  /** Whoever serves pods forgets them, too; what is just being started may succeed after all, and nobody would ever stop it. */
  #forgetPending(): void {
    this.#remove([...this.#pending.keys()]);
  }

  #publish(connected: boolean): void {
    const { snapshotReceived, pending, ready } = this.#session;
    this.#state.set({ connected, snapshotReceived, pending, ready: connected && ready });
  }
}

/** Tells the agent why the conversation ends, if it still listens. */
function refuse(connection: SeqpacketConnection, reason: string): void {
  try {
    connection.send(encodeAck(reason));
  } catch {
    // The connection ends either way, and the reason is on its way to the log.
  }
}

function fieldsOf({ uid, namespace, name }: ZdsPod) {
  return { uid, namespace, pod: name };
}
