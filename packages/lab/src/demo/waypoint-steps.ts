/** The second half of the demo's story: requests of the shop's API go through a waypoint, which reads them. */
import { OUTSIDE, SHOP, SHOP_PODS } from './manifests.ts';
import { describeSpan, type ZipkinSpan, spansIn } from './spans.ts';
import { quoted, result, type Step } from './step.ts';
import { TokenSigner } from './token.ts';
import {
  LOG_REQUESTS,
  NO_DELETE,
  nextVersion,
  onlyWithToken,
  RETRY,
  SPLIT,
  traced,
  ZIPKIN,
  ZIPKIN_PORT,
} from './waypoint-manifests.ts';
import { type CommandOutcome, settle, type World } from './world.ts';

const WAYPOINT = 'waypoint';
const USE_WAYPOINT_LABEL = 'istio.io/use-waypoint';
const READY_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 20_000;
const API = `http://api.${SHOP}`;
const ISSUER = 'https://tokens.shop.example';
/** How often, where chance decides: that all twenty go one way has a chance of one in half a million. */
const TIMES = 20;
const TOKEN_LIFE_S = 300;
/** The caller's own trace and its span in it. */
const TRACE_ID = '6f1d8a2e90b34c57a1e3d4f5b6978812';
const CALLER_SPAN_ID = '3c9a51e07d2b4f68';
const WHY_NO_DELETE = ['why', `${SHOP}/batch`, `${SHOP}/api:80`, '--method', 'DELETE', '--path', '/items'];

type Check = readonly [passed: boolean, seen: string];

export interface Told {
  /** That the shop's own traffic went on, and lost nothing, since the last time this was asked. */
  readonly unharmed: (signal: AbortSignal) => Promise<Check>;
}

/** @param nextNode - Where the API's next version runs. */
export function waypointSteps(world: World, nextNode: string, { unharmed }: Told): readonly Step[] {
  /** Requests of a pod of the shop; arguments as of programs/fetch.ts. */
  const fetch = (from: string, signal: AbortSignal, path: string, ...args: readonly string[]) =>
    world.runIn({ namespace: SHOP, name: from }, 'fetch', [`${API}${path}`, ...args], signal);
  const settled = (
    ask: () => Promise<CommandOutcome>,
    accepts: (outcome: CommandOutcome) => boolean,
    signal: AbortSignal,
  ) => settle(world, ask, accepts, SETTLE_TIMEOUT_MS, signal);

  return [
    {
      title: 'A waypoint in front of api: its requests are read, not only carried',
      commands: [
        'kubectl apply -f log-requests.yaml',
        `npx ambit waypoint apply -n ${SHOP}`,
        `kubectl label service -n ${SHOP} api ${USE_WAYPOINT_LABEL}=${WAYPOINT}`,
      ],
      run: async (signal) => {
        await world.apply(LOG_REQUESTS, signal);
        const before = await fetch('batch', signal, '/headers');
        const applied = await world.ambit(['waypoint', 'apply', '-n', SHOP], signal);
        await world.labelService(SHOP, 'api', USE_WAYPOINT_LABEL, WAYPOINT, signal);
        const after = await settled(
          () => fetch('batch', signal, '/headers'),
          ({ output }) => requestIdIn(output) !== undefined,
          signal,
        );
        // Lines are written in batches: that of one request may be read only after the next was asked.
        const ids: string[] = [];
        const logged = await settle(
          world,
          async () => {
            const id = requestIdIn((await fetch('batch', signal, '/headers')).output);
            if (id !== undefined) ids.push(id);
            const lines = await world.loggedRequests({ namespace: SHOP, name: WAYPOINT }, signal);
            return lines.find((line) => ids.some((asked) => line.includes(asked)));
          },
          (line) => line !== undefined,
          SETTLE_TIMEOUT_MS,
          signal,
        );
        return result(
          [applied.status === 0, firstLine(applied)],
          [requestIdIn(before.output) === undefined, `before, api is asked with: ${namesIn(before.output)}`],
          [requestIdIn(after.output) !== undefined, `after, with: ${namesIn(after.output)}`],
          [logged !== undefined, `the waypoint's log has such an id: ${logged ?? 'nowhere'}`],
          await unharmed(signal),
        );
      },
    },
    {
      title: 'The next version of api gets half of the requests, by weight; a header asks for it',
      commands: ['kubectl apply -f api-next.yaml -f split.yaml'],
      run: async (signal) => {
        await world.apply(nextVersion(nextNode), signal);
        await world.apply(SPLIT, signal);
        const half = await settle(
          world,
          () => fetch('batch', signal, '/version', '--times', String(TIMES)),
          ({ status, output }) => status === 0 && ['one', 'two'].every((version) => output.includes(version)),
          READY_TIMEOUT_MS,
          signal,
        );
        const asked = await fetch('batch', signal, '/version', 'x-version: next', '--times', '5');
        return result(
          [half.status === 0 && half.output.includes('version two'), `${TIMES} requests: ${inOneLine(half)}`],
          [/^5 x 200 version two$/m.test(asked.output), `with x-version: next: ${inOneLine(asked)}`],
          await unharmed(signal),
        );
      },
    },
    {
      title: 'What fails is asked again, and nobody notices',
      commands: ['kubectl apply -f retry.yaml'],
      run: async (signal) => {
        const flaky = () => fetch('batch', signal, '/flaky', '--times', '12');
        const before = await flaky();
        await world.apply(RETRY, signal);
        const after = await settled(flaky, ({ status }) => status === 0, signal);
        return result(
          [before.output.includes('503'), `before, 12 requests: ${inOneLine(before)}`],
          [after.status === 0, `after: ${inOneLine(after)}`],
          await unharmed(signal),
        );
      },
    },
    {
      title: 'One caller may not delete: 403, by who it is and what it asks; ambit why tells the rule',
      commands: ['kubectl apply -f no-delete.yaml', `npx ambit ${WHY_NO_DELETE.join(' ')}`],
      run: async (signal) => {
        await world.apply(NO_DELETE, signal);
        const refused = await settled(
          () => fetch('batch', signal, '/items', '--method', 'DELETE'),
          ({ output }) => output.startsWith('403'),
          signal,
        );
        const reading = await fetch('batch', signal, '/items');
        const another = await fetch('web', signal, '/items', '--method', 'DELETE');
        const why = await world.ambit(WHY_NO_DELETE, signal);
        const { passed, seen } = result(
          [refused.output.startsWith('403'), `batch, DELETE /items: ${firstLine(refused)}`],
          [reading.status === 0, `batch, GET /items: ${firstLine(reading)}`],
          [another.status === 0, `web, DELETE /items: ${firstLine(another)}`],
          await unharmed(signal),
          [why.output.includes(`${SHOP}/no-delete`), 'ambit why names the policy and its rule:'],
        );
        return { passed, seen: [...seen, ...quoted(why)] };
      },
    },
    {
      title: 'Who brings no token is refused, and who brings a wrong one',
      commands: ['kubectl apply -f only-with-token.yaml'],
      run: async (signal) => {
        const signer = new TokenSigner(ISSUER);
        const token = (by: TokenSigner) =>
          `authorization: Bearer ${by.token('ann', Math.floor(world.nowMs() / 1_000) + TOKEN_LIFE_S)}`;
        const policies = onlyWithToken(ISSUER, signer.jwks);
        await world.apply(policies, signal);
        const without = await settled(
          () => fetch('batch', signal, '/headers'),
          ({ output }) => output.startsWith('403'),
          signal,
        );
        const wrong = await fetch('batch', signal, '/headers', token(new TokenSigner(ISSUER)));
        const right = await fetch('batch', signal, '/headers', token(signer));
        await world.remove(policies, signal);
        return result(
          [without.output.startsWith('403'), `without a token: ${firstLine(without)}`],
          [wrong.output.startsWith('401'), `with one that somebody else signed: ${firstLine(wrong)}`],
          [right.status === 0, `with one of ${ISSUER}: ${firstLine(right).slice(0, 3)}`],
          await unharmed(signal),
        );
      },
    },
    {
      title: 'A caller that traces finds the waypoint in its trace, and api is told to go on with it',
      commands: [
        'kubectl apply -f traced.yaml',
        `curl http://${ZIPKIN}.${OUTSIDE}:${ZIPKIN_PORT}/api/v2/trace/${TRACE_ID}`,
      ],
      run: async (signal) => {
        await world.apply(traced(nextNode), signal);
        const trace = `http://127.0.0.1:${ZIPKIN_PORT}/api/v2/trace/${TRACE_ID}`;
        const callerSpan = `traceparent: 00-${TRACE_ID}-${CALLER_SPAN_ID}-01`;
        interface Seen {
          readonly parentForApi: string | undefined;
          readonly span: ZipkinSpan | undefined;
        }
        const { parentForApi, span } = await settle(
          world,
          async (): Promise<Seen> => {
            const asked = await fetch('batch', signal, '/headers', callerSpan);
            const parent = fieldsIn(asked.output)['traceparent'];
            const told = await world.runIn({ namespace: OUTSIDE, name: ZIPKIN }, 'fetch', [trace], signal);
            const spans = spansIn(told.output);
            return { parentForApi: parent, span: spans.find(({ id }) => parent?.includes(id)) };
          },
          ({ span: one }) => one !== undefined,
          READY_TIMEOUT_MS,
          signal,
        );
        return result(
          [
            span !== undefined && span.traceId === TRACE_ID && span.parentId === CALLER_SPAN_ID,
            `batch asked in trace ${TRACE_ID}; under its span ${CALLER_SPAN_ID} the collector has:`,
          ],
          [span?.tags['istio.namespace'] === SHOP, span ? describeSpan(span) : 'nothing'],
          [
            span !== undefined && parentForApi === `00-${TRACE_ID}-${span.id}-01`,
            `api was asked with traceparent: ${parentForApi ?? 'none'}`,
          ],
          await unharmed(signal),
        );
      },
    },
    {
      title: 'Without the waypoint again; nothing was lost on the way',
      commands: [
        `kubectl label service -n ${SHOP} api ${USE_WAYPOINT_LABEL}-`,
        `npx ambit waypoint delete -n ${SHOP} ${WAYPOINT}`,
      ],
      run: async (signal) => {
        await world.labelService(SHOP, 'api', USE_WAYPOINT_LABEL, undefined, signal);
        const after = await settled(
          () => fetch('batch', signal, '/headers'),
          ({ status, output }) => status === 0 && requestIdIn(output) === undefined,
          signal,
        );
        const deleted = await world.ambit(['waypoint', 'delete', '-n', SHOP, WAYPOINT], signal);
        for (const yaml of [NO_DELETE, RETRY, nextVersion(nextNode), traced(nextNode)])
          await world.remove(yaml, signal);
        const pods = await settle(
          world,
          () => world.pods(SHOP, signal),
          (now) => now.length === SHOP_PODS,
          READY_TIMEOUT_MS,
          signal,
        );
        return result(
          [requestIdIn(after.output) === undefined, `api is asked with: ${namesIn(after.output)}`],
          [deleted.status === 0, firstLine(deleted)],
          [pods.length === SHOP_PODS, `pods running: ${pods.map(({ name }) => name).join(', ')}`],
          await unharmed(signal),
        );
      },
    },
  ];
}

/** Header fields in the answer of `/headers`. */
function fieldsIn(output: string): Readonly<Record<string, string>> {
  const text = output.slice(output.indexOf('{'));
  try {
    return JSON.parse(text) as Record<string, string>;
  } catch {
    return {};
  }
}

function requestIdIn(output: string): string | undefined {
  return fieldsIn(output)['x-request-id'];
}

function namesIn(output: string): string {
  return Object.keys(fieldsIn(output)).join(', ') || output.trim();
}

function firstLine({ output }: CommandOutcome): string {
  return output.trim().split('\n')[0] ?? '';
}

function inOneLine({ output }: CommandOutcome): string {
  return output.trim().split('\n').join(', ');
}
