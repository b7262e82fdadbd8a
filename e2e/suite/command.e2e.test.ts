import { beforeAll, describe, expect, test } from '@jest/globals';
import { PORTS } from '../echo/ports.ts';
import { runAmbit } from './kit/ambit.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { authorizationPolicy } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually } from './kit/wait.ts';

const suite = useSuite('command');

let space: Space;
let apart: Space;
let client: EchoPod;

const ambit = (...args: readonly string[]) => runAmbit(suite.cluster, ...args);

beforeAll(async () => {
  const [first, second] = suite.nodes;
  space = await suite.space('app', 'ambient');
  apart = await suite.space('apart');
  const [started] = await Promise.all([
    space.run({ name: 'client', node: first }, { name: 'server', node: second }),
    apart.run({ name: 'loner', node: first }),
  ]);
  [client] = started as [EchoPod];
  await space.enrolled(true, 'client', 'server');
});

test('status finds all parts well, and names the nodes', async () => {
  const said = await eventually(
    'the mesh is well',
    () => ambit('status'),
    ({ status }) => status === 0,
  );
  for (const name of ['istiod', 'istio-cni-node', 'ztunnel', ...suite.nodes, space.name])
    expect(said.text).toContain(name);
});

test('workloads and services list what there is', async () => {
  const workloads = await ambit('workloads', '-n', space.name);
  expect(workloads).toMatchObject({ status: 0 });
  expect(workloads.text).toMatch(new RegExp(`client .*${client.ip}.*HBONE`));
  const services = await eventually(
    'the endpoint is known',
    () => ambit('services', '-n', space.name),
    ({ text }) => /server .*1\/1/.test(text),
  );
  expect(services).toMatchObject({ status: 0 });
});

test('certificates and connections are those of the node asked', async () => {
  const load = await client.load({ host: space.host('server'), connections: 2, requestsPerSecond: 10 });
  await load.hasServed(5);
  const certificates = await ambit('certificates', '--node', client.node);
  expect(certificates).toMatchObject({ status: 0 });
  expect(certificates.text).toContain(`/ns/${space.name}/sa/default`);
  const held = await eventually(
    'both connections',
    async () => {
      const connections = await ambit('connections', '--node', client.node);
      expect(connections).toMatchObject({ status: 0 });
      return connections.text.split('\n').filter((line) => line.includes(`${space.name}/client`));
    },
    ({ length }) => length === 2,
  );
  for (const line of held) expect(line).toMatch(new RegExp(`outbound .*HBONE .*${space.name}/sa/default`));
  await load.end();
});

describe('why', () => {
  const why = (from: string, to: string) => ambit('why', `${space.name}/${from}`, `${to}:${PORTS.http}`);

  test('says that and how a connection is let in', async () => {
    const said = await why('client', `server.${space.name}`);
    expect(said).toMatchObject({ status: 0 });
    expect(said.text).toContain(`/ns/${space.name}/sa/default`);
  });

  test('names the policy that refuses one', async () => {
    const deny = authorizationPolicy(space.name, 'nobody', { action: 'DENY', app: 'server', rules: [{}] });
    await space.apply(deny);
    const said = await eventually(
      'it is refused',
      () => why('client', `server.${space.name}`),
      ({ status }) => status === 3,
    );
    expect(said.text).toContain(`${space.name}/nobody`);
    const listed = await ambit('policies', '-n', space.name);
    expect(listed.text).toContain('nobody');
    await space.remove(deny);
    await eventually(
      'it is let in again',
      () => why('client', `server.${space.name}`),
      ({ status }) => status === 0,
    );
  });

  test('says that a source is not in the mesh', async () => {
    const said = await ambit('why', `${apart.name}/loner`, `server.${space.name}:${PORTS.http}`);
    expect(said.status).toBe(0);
    expect(said.text).toMatch(/not in the mesh|in clear|plain/i);
  });
});

test('enroll and unenroll wait until the pods have followed', async () => {
  expect(await ambit('enroll', apart.name)).toMatchObject({ status: 0 });
  await apart.enrolled(true, 'loner');
  expect(await ambit('unenroll', apart.name)).toMatchObject({ status: 0 });
  await apart.enrolled(false, 'loner');
});

test('a name that is not there is an error that says so', async () => {
  const said = await ambit('why', `${space.name}/nobody-there`, `server.${space.name}:80`);
  expect(said.status).toBe(1);
  expect(said.text).toContain('nobody-there');
});
