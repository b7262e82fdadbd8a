/** One request of any kind: dial, ask, close; and how its failure reads. */
import type { RequestOrder, RequestOutcome, Target } from '../messages.ts';
import type { Answer, Conversation } from './conversation.ts';
import { dialGrpc } from './grpc.ts';
import { dialHttp, dialHttp2 } from './http.ts';
import { dialTcp, dialWebSocket } from './tcp.ts';

export const DEFAULT_TIMEOUT_MS = 5_000;
/** A timer that is so late tells that this process stood still, as on a machine that did. */
export const STOOD_STILL_MS = 1_000;

/** @param holds - Whether more than one question follows. */
export async function dial(target: Target, holds: boolean, signal: AbortSignal): Promise<Conversation> {
  switch (target.kind) {
    case 'http':
      return await dialHttp(target, signal);
    case 'http2':
      return await dialHttp2(target, signal);
    case 'grpc':
      return await dialGrpc(target, holds, signal);
    case 'websocket':
      return await dialWebSocket(target, signal);
    case 'tcp':
    case 'greeting':
      return await dialTcp(target, signal);
    default:
      return target.kind satisfies never;
  }
}

export async function requestOnce(order: RequestOrder): Promise<RequestOutcome> {
  const began = performance.now();
  const latency = () => Math.round((performance.now() - began) * 1_000) / 1_000;
  try {
    const { server, head } = await exchange(order);
    return { ok: true, latencyMs: latency(), ...(server && { server }), ...(head && { answer: head }) };
  } catch (error) {
    return { ok: false, latencyMs: latency(), error: failureText(error) };
  }
}

async function exchange(order: RequestOrder): Promise<Answer> {
  return await within(order.timeoutMs ?? DEFAULT_TIMEOUT_MS, async (signal) => {
    const conversation = await dial(order, false, signal);
    try {
      return await conversation.ask(signal);
    } finally {
      conversation.close();
    }
  });
}

/**
 * Runs `act` with a signal that aborts after `timeoutMs`; no timer outlives it. The time begins anew where this process stood
 * still when it was over: nobody looked whether there was an answer.
 */
export async function within<T>(timeoutMs: number, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    const endsAt = performance.now() + timeoutMs;
    timer = setTimeout(() => {
      if (performance.now() - endsAt > STOOD_STILL_MS) start();
      else controller.abort(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
  };
  start();
  try {
    return await act(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

/** The code if there is one, and the message: what a suite compares and a person reads. */
export function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined || error.message.includes(String(code))
    ? error.message
    : `${code}: ${error.message}`;
}
