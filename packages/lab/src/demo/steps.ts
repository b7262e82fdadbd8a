/** The demo's story, step by step. Every claim is checked on what was really seen: frames, answers, logs, decisions. */
import { ONLY_WEB, OUTSIDE, SHOP, SHOP_PODS, SHOP_WORDS, STRICT, shopManifests } from './manifests.ts';
import { quoted, type Step, type StepResult, result } from './step.ts';
import { summarize, type WireSummary } from './wire.ts';
import { waypointSteps } from './waypoint-steps.ts';
import { type CommandOutcome, type PodInstance, settle, type World } from './world.ts';

const CAPTURE_MS = 2_000;
const READY_TIMEOUT_MS = 45_000;
const SETTLE_TIMEOUT_MS = 20_000;
const MODE_LABEL = 'istio.io/dataplane-mode';

interface Stats {
  readonly ok: number;
  readonly failed: number;
  readonly lastError: string;
}

/** What a step learns and a later one compares with. */
interface Memory {
  pods: readonly PodInstance[];
  stats: Stats;
}

export function demoSteps(world: World, nodes: readonly [string, string]): readonly Step[] {
  const memory: Memory = { pods: [], stats: { ok: 0, failed: 0, lastError: '' } };
  const fetch = (namespace: string, name: string, url: string, signal: AbortSignal) =>
    world.runIn({ namespace, name }, 'fetch', [url], signal);
  const statsNow = async (signal: AbortSignal): Promise<Stats> => {
    const { output } = await world.runIn(
      { namespace: SHOP, name: 'web' },
      'fetch',
      ['http://127.0.0.1:8080/stats'],
      signal,
    );
    return JSON.parse(output.slice(output.indexOf('{'))) as Stats;
  };
  const wire = async (signal: AbortSignal) => summarize(await world.capture(CAPTURE_MS, signal), SHOP_WORDS);

  /** That the shop's own traffic went on, and lost nothing, since the last time this was asked. */
  const unharmed = async (signal: AbortSignal): Promise<readonly [boolean, string]> => {
    const before = memory.stats;
    const now = await statsNow(signal);
    memory.stats = now;
    const failed = now.failed - before.failed;
    const why = failed > 0 ? ` (${now.lastError})` : '';
    return [
      failed === 0 && now.ok > before.ok,
      `${now.ok - before.ok} requests of web to api meanwhile, ${failed} failed${why}`,
    ];
  };

  return [
    {
      title: 'A shop of four pods on two nodes, talking in clear',
      commands: ['kubectl apply -f shop.yaml'],
      run: async (signal) => {
        await world.apply(shopManifests(nodes), signal);
        const answer = await settle(
          world,
          () => fetch(SHOP, 'web', 'http://web.shop/', signal),
          (outcome) => outcome.status === 0,
          READY_TIMEOUT_MS,
          signal,
        );
        memory.pods = await world.pods(SHOP, signal);
        memory.stats = await statsNow(signal);
        const seen = await wire(signal);
        return result(
          [answer.status === 0, `web answers: ${firstLine(answer)}`],
          [
            memory.pods.length === SHOP_PODS,
            `pods running: ${memory.pods.map((pod) => pod.name).join(', ')}`,
          ],
          [
            seen.readableSegments > 0,
            `on the link between the nodes, readable: ${JSON.stringify(seen.example ?? '')}`,
          ],
          [seen.hboneSegments === 0, 'nothing goes to port 15008'],
        );
      },
    },
    {
      title: 'Label the namespace: the same pods, not restarted, now talk over HBONE',
      commands: [`kubectl label namespace ${SHOP} ${MODE_LABEL}=ambient`],
      run: async (signal) => {
        await world.labelNamespace(SHOP, MODE_LABEL, 'ambient', signal);
        const pods = await settle(
          world,
          () => world.pods(SHOP, signal),
          (now) => now.every((pod) => pod.enrolled),
          SETTLE_TIMEOUT_MS,
          signal,
        );
        const seen = await settle(world, () => wire(signal), isEncrypted, SETTLE_TIMEOUT_MS, signal);
        return result(
          [
            pods.every((pod) => pod.enrolled),
            `enrolled: ${pods
              .filter((pod) => pod.enrolled)
              .map((pod) => pod.name)
              .join(', ')}`,
          ],
          [samePods(memory.pods, pods), 'the same pods: same UIDs, start times and restart counts'],
          ...wireChecks(seen),
          await unharmed(signal),
        );
      },
    },
    {
      title: 'Who talks to whom, proven by certificates at both ends',
      commands: ['kubectl logs -n istio-system -l app=ztunnel --tail=-1 | grep access'],
      run: async (signal) => {
        const web = `spiffe://cluster.local/ns/${SHOP}/sa/web`;
        const api = `spiffe://cluster.local/ns/${SHOP}/sa/api`;
        const isPair = (one: {
          sourceIdentity: string | undefined;
          destinationIdentity: string | undefined;
        }) => one.sourceIdentity === web && one.destinationIdentity === api;
        const logged = await settle(
          world,
          () => world.loggedConnections(signal),
          (all) =>
            ['outbound', 'inbound'].every((end) => all.some((one) => one.direction === end && isPair(one))),
          SETTLE_TIMEOUT_MS,
          signal,
        );
        return result(
          ...(['outbound', 'inbound'] as const).map((end): readonly [boolean, string] => {
            const one = logged.find((candidate) => candidate.direction === end && isPair(candidate));
            return [
              one !== undefined,
              `${end} on ${one?.node ?? '?'}: ${one?.sourceIdentity ?? '?'} → ${one?.destinationIdentity ?? '?'}`,
            ];
          }),
        );
      },
    },
    {
      title: 'STRICT: whoever has no identity is refused',
      commands: ['kubectl apply -f strict.yaml'],
      run: async (signal) => {
        const before = await fetch(OUTSIDE, 'stranger', `http://web.${SHOP}/`, signal);
        await world.apply(STRICT, signal);
        const after = await settle(
          world,
          () => fetch(OUTSIDE, 'stranger', `http://web.${SHOP}/`, signal),
          (outcome) => outcome.status !== 0,
          SETTLE_TIMEOUT_MS,
          signal,
        );
        const inside = await fetch(SHOP, 'batch', `http://web.${SHOP}/`, signal);
        return result(
          [
            before.status === 0,
            `before, ${OUTSIDE}/stranger, a pod outside the mesh, gets http://web.${SHOP}/: ${firstLine(before)}`,
          ],
          [after.status !== 0, `after, it is refused: ${firstLine(after)}`],
          [inside.status === 0, `a pod of the mesh is served as before: ${firstLine(inside)}`],
          await unharmed(signal),
        );
      },
    },
    {
      title: 'A policy: only web may call api; ambit why names the clause that refused batch',
      commands: ['kubectl apply -f api-only-web.yaml', `npx ambit why ${SHOP}/batch ${SHOP}/api:80`],
      run: async (signal) => {
        const before = await fetch(SHOP, 'batch', `http://api.${SHOP}/items`, signal);
        await world.apply(ONLY_WEB, signal);
        const after = await settle(
          world,
          () => fetch(SHOP, 'batch', `http://api.${SHOP}/items`, signal),
          (outcome) => outcome.status !== 0,
          SETTLE_TIMEOUT_MS,
          signal,
        );
        const why = await world.ambit(['why', `${SHOP}/batch`, `${SHOP}/api:80`], signal);
        const { passed, seen } = result(
          [before.status === 0, `before, batch is served: ${firstLine(before)}`],
          [after.status !== 0, `after, batch is refused: ${firstLine(after)}`],
          await unharmed(signal),
          [
            why.output.includes(`${SHOP}/api-only-web`) && why.output.includes('principals'),
            'ambit why names the policy and the clause:',
          ],
        );
        return { passed, seen: [...seen, ...quoted(why)] };
      },
    },
    {
      title: 'Without the policy, that caller is served again',
      commands: [`kubectl delete authorizationpolicy -n ${SHOP} api-only-web`],
      run: async (signal) => {
        await world.remove(ONLY_WEB, signal);
        const again = await settle(
          world,
          () => fetch(SHOP, 'batch', `http://api.${SHOP}/items`, signal),
          (outcome) => outcome.status === 0,
          SETTLE_TIMEOUT_MS,
          signal,
        );
        return result([again.status === 0, `batch is served: ${firstLine(again)}`], await unharmed(signal));
      },
    },
    ...waypointSteps(world, nodes[0], { unharmed }),
    {
      title: 'Take the label off: clear traffic again, and nothing noticed',
      commands: [
        `kubectl delete peerauthentication -n ${SHOP} default`,
        `kubectl label namespace ${SHOP} ${MODE_LABEL}-`,
      ],
      run: async (signal) => {
        await world.remove(STRICT, signal);
        const stranger = await settle(
          world,
          () => fetch(OUTSIDE, 'stranger', `http://web.${SHOP}/`, signal),
          (outcome) => outcome.status === 0,
          SETTLE_TIMEOUT_MS,
          signal,
        );
        await world.labelNamespace(SHOP, MODE_LABEL, undefined, signal);
        const pods = await settle(
          world,
          () => world.pods(SHOP, signal),
          (now) => now.every((pod) => !pod.enrolled),
          SETTLE_TIMEOUT_MS,
          signal,
        );
        const seen = await settle(
          world,
          () => wire(signal),
          (now) => now.readableSegments > 0 && now.hboneSegments === 0,
          SETTLE_TIMEOUT_MS,
          signal,
        );
        return result(
          [
            stranger.status === 0,
            `without STRICT, the pod outside the mesh is served: ${firstLine(stranger)}`,
          ],
          [pods.every((pod) => !pod.enrolled), 'no pod is enrolled any more'],
          [samePods(memory.pods, pods), 'still the same pods'],
          [seen.readableSegments > 0, `readable on the link again: ${JSON.stringify(seen.example ?? '')}`],
          [seen.hboneSegments === 0, 'nothing goes to port 15008'],
          await unharmed(signal),
        );
      },
    },
  ];
}

function isEncrypted(seen: WireSummary): boolean {
  return wireChecks(seen).every(([passed]) => passed);
}

function wireChecks(seen: WireSummary): (readonly [boolean, string])[] {
  const elsewhere = seen.dataSegments - seen.hboneSegments;
  return [
    [
      seen.tlsRecords > 0,
      `on the link: ${seen.hboneSegments} segments to or from 15008, ${seen.tlsRecords} of them begin a TLS record`,
    ],
    [seen.readableSegments === 0, `${seen.readableSegments} readable segments`],
    [
      elsewhere === 0,
      `${elsewhere} segments of pods on any other port${elsewhere > 0 ? ` (${seen.ports.join(', ')})` : ''}`,
    ],
  ];
}

function samePods(before: readonly PodInstance[], after: readonly PodInstance[]): boolean {
  const key = (pod: PodInstance) => `${pod.name} ${pod.uid} ${pod.startedAt} ${pod.restarts}`;
  const keys = new Set(before.map(key));
  return before.length === after.length && after.every((pod) => keys.has(key(pod)));
}

function firstLine(outcome: CommandOutcome): string {
  return outcome.output.trim().split('\n')[0] ?? '';
}

/** For the closing lines. */
export function summaryOf(
  outcome: { readonly passed: number; readonly failed: number },
  steps: number,
): StepResult {
  const left = steps - outcome.passed - outcome.failed;
  return {
    passed: outcome.failed === 0 && left === 0,
    seen: [
      `${outcome.passed} steps passed, ${outcome.failed} failed${left > 0 ? `, ${left} not reached` : ''}`,
    ],
  };
}
