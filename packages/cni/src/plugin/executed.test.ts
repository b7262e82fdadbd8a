import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { buildPlugin } from '../build/build-plugin.ts';
import { encodeNodeFile } from '../node-file.ts';

const CNITOOL = 'github.com/containernetworking/cni/cnitool@v1.3.0';
const PREV_RESULT = { cniVersion: '1.0.0', ips: [{ address: '10.1.2.3/24' }], dns: {} };

let folder: string;
let bin: string;
let plugin: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-cni-'));
  bin = join(folder, 'bin');
  plugin = await buildPlugin({ outDirectory: bin, node: realpathSync(process.execPath) });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(folder, 'run-'));
});

const configFor = (over: Record<string, unknown> = {}) =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net',
    type: 'istio-cni',
    cni_agent_run_dir: run,
    ambit_agent_wait_ms: 0,
    prevResult: PREV_RESULT,
    ...over,
  });

async function execute(stdin: string, env: Record<string, string> = {}) {
  const child = spawn(plugin, {
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/var/run/netns/x',
      CNI_IFNAME: 'eth0',
      CNI_PATH: bin,
      CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web',
      ...env,
    },
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ]);
  return { exitCode, stderr, answer: stdout === '' ? undefined : (JSON.parse(stdout) as unknown) };
}

/** An agent that answers with `status` after `delayMs`, and keeps what it was told. */
async function agent(status: number, body = '', delayMs = 0): Promise<AsyncDisposable & { told: string[] }> {
  const told: string[] = [];
  const server: Server = createServer((request, response) => {
    void text(request).then((said) => {
      told.push(`${request.method} ${request.url} ${said}`);
      setTimeout(() => response.writeHead(status).end(body), delayMs).unref();
    });
  });
  server.listen(join(run, 'pluginevent.sock'));
  await once(server, 'listening');
  return {
    told,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function writeNodeFile(namespaces: Record<string, 'enrolled' | 'outside'>): void {
  const file = { writtenAtMs: Date.now() - 3 * 86_400_000, namespaces: new Map(Object.entries(namespaces)) };
  writeFileSync(join(run, 'ambit-node.json'), encodeNodeFile(file));
}

describe('the plugin as a runtime executes it', () => {
  test('agent there: the result goes on', async () => {
    await using there = await agent(200);
    expect(await execute(configFor())).toEqual({ exitCode: 0, stderr: '', answer: PREV_RESULT });
    expect(there.told).toEqual([expect.stringMatching(/^POST \/cmdadd .*"PodName":"web"/)]);
  });

  test('agent refusing: its words reach the kubelet', async () => {
    await using _ = await agent(500, 'no ztunnel is connected');
    const { exitCode, answer } = await execute(configFor());
    expect(exitCode).toBe(1);
    expect(answer).toMatchObject({ code: 11, msg: expect.stringContaining('no ztunnel is connected') });
  });

  test('agent gone: an old file still tells who is outside, and its age is said', async () => {
    writeNodeFile({ shop: 'outside', bank: 'enrolled' });
    expect(await execute(configFor())).toMatchObject({ exitCode: 0, answer: PREV_RESULT });
    const bank = await execute(configFor(), { CNI_ARGS: 'K8S_POD_NAMESPACE=bank;K8S_POD_NAME=web' });
    expect(bank).toMatchObject({
      exitCode: 1,
      answer: { code: 11, msg: expect.stringMatching(/no such socket.*"bank" is enrolled.*written 3 d ago/) },
    });
    const unknown = await execute(configFor(), { CNI_ARGS: 'K8S_POD_NAMESPACE=new;K8S_POD_NAME=web' });
    expect(unknown).toMatchObject({
      exitCode: 1,
      answer: { msg: expect.stringContaining('"new" is not in') },
    });
  });

  test('agent too slow: as if it were gone, after five seconds', async () => {
    writeNodeFile({ shop: 'enrolled' });
    await using _ = await agent(200, '', 100_000);
    const started = Date.now();
    expect(await execute(configFor())).toMatchObject({
      exitCode: 1,
      answer: { msg: expect.stringContaining('no answer within 5 s') },
    });
    expect(Date.now() - started).toBeLessThan(60_000);
  });

  test.each(['', '{', 'null', '"x"', '\u0000'.repeat(100)])('standard input %j', async (stdin) => {
    const { exitCode, answer } = await execute(stdin);
    expect([exitCode, answer]).toEqual([
      1,
      expect.objectContaining({ code: expect.any(Number), msg: expect.any(String) }),
    ]);
  });

  test('standard input without end', async () => {
    const { answer } = await execute('x'.repeat(5 * 1024 * 1024));
    expect(answer).toMatchObject({ code: 5, msg: expect.stringContaining('bytes') });
  });

  test('it is small and starts at once', async () => {
    expect(statSync(plugin).size).toBeLessThan(100_000);
    // On a machine that is busy with other things, one quiet moment shows it; on a slow one, that Node itself takes as long.
    const tookMs = async (run: () => Promise<unknown>) => {
      const startedMs = performance.now();
      await run();
      return performance.now() - startedMs;
    };
    const version = () => execute('', { CNI_COMMAND: 'VERSION' });
    const bare = () => once(spawn(process.execPath, ['-e', ''], { stdio: 'ignore' }), 'close');
    let shortestMs = await tookMs(version);
    let bareMs = await tookMs(bare);
    for (let i = 0; i < 50 && shortestMs >= Math.max(100, 2 * bareMs); i += 1) {
      shortestMs = Math.min(shortestMs, await tookMs(version));
      bareMs = Math.min(bareMs, await tookMs(bare));
    }
    expect(shortestMs).toBeLessThan(Math.max(100, 2 * bareMs));
  });
});

/** Go's absence is a reason not to run this on a developer's machine, never in CI. */
const goProblem = spawnSync('go', ['version']).status === 0 ? undefined : 'go is not installed';

/** The tool keeps results below /var/lib/cni, and that is not ours to write to: a folder comes first, and then the command. */
const KEEPING_RESULTS = [
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  '--mount',
  'sh',
  '-c',
  'mount --bind "$0" /var/lib && exec "$@"',
];

if (goProblem !== undefined && process.env['CI'] !== 'true') {
  test(`cnitool: not run, ${goProblem}`, () => expect(goProblem).toBeTruthy());
} else {
  test('cnitool, as runtimes use the library, in every version', async () => {
    const cache = join(import.meta.dirname, '../../../../node_modules/.cache/ambit');
    const cnitool = join(cache, 'cnitool');
    mkdirSync(cache, { recursive: true });
    if (!existsSync(cnitool))
      execFileSync('go', ['install', CNITOOL], { env: { ...process.env, GOBIN: cache, GOFLAGS: '' } });
    const results = join(run, 'results');
    mkdirSync(results);
    await using there = await agent(200);
    for (const cniVersion of ['0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
      const conf = join(run, cniVersion);
      mkdirSync(conf);
      const plugins = [{ type: 'istio-cni', cni_agent_run_dir: run }];
      writeFileSync(join(conf, '10-net.conflist'), JSON.stringify({ cniVersion, name: 'net', plugins }));
      const env = {
        ...process.env,
        NETCONFPATH: conf,
        CNI_PATH: bin,
        CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web',
      };
      const tool = async (...args: string[]) => {
        const child = spawn('unshare', [...KEEPING_RESULTS, results, cnitool, ...args], { env });
        const [stdout, stderr, [code]] = await Promise.all([
          text(child.stdout),
          text(child.stderr),
          once(child, 'close') as Promise<[number]>,
        ]);
        return { stdout, stderr, code };
      };
      const added = await tool('add', 'net', '/var/run/netns/x');
      expect(added).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(added.stdout)).toMatchObject({ cniVersion });
      if (cniVersion !== '0.3.1')
        expect(await tool('check', 'net', '/var/run/netns/x')).toMatchObject({ code: 0 });
      expect(await tool('del', 'net', '/var/run/netns/x')).toMatchObject({ code: 0 });
      if (cniVersion !== '1.1.0') continue;
      expect(await tool('status', 'net', '/var/run/netns/x')).toMatchObject({ code: 0 });
      expect(await tool('gc', 'net', '/var/run/netns/x')).toMatchObject({ code: 0 });
    }
    expect(there.told.map((line) => line.split(' ')[1])).toEqual(
      expect.arrayContaining(['/cmdadd', '/cmdcheck', '/cmddel', '/status', '/cmdgc']),
    );
  }, 180_000);
}
