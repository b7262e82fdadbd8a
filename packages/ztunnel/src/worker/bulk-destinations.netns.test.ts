/** Whose thread has the far end of a tunnel within the node, by the port that the tunnel comes from. */
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { BOB_IP, WorkerNetwork } from '../testing/worker-network.ts';
import { BULK_TABLE_BYTES, type WorkerOptions } from '../threads/worker-options.ts';
import { BulkDestinations } from './bulk-destinations.ts';
import { BULK_CONNECTION_BYTES } from './limits.ts';

const NODE = 'node-1';
const CHUNK = Buffer.alloc(1 << 20);
/** Of tunnels of worker 1 that worker 1 has the far end of, and of those that worker 0 has it of. */
const OWN = [32_770, 32_771];
const NEXT = [32_768, 32_769];
/** However long pouring takes, it takes no time. */
const STILL: Clock = Object.create(systemClock, { monotonicMs: { value: () => 0 } }) as Clock;

let network: WorkerNetwork;
afterEach(async () => await network[Symbol.asyncDispose]());

/** The second of two workers. @param bulk - A destination that is known to move much. */
async function start(over: Partial<WorkerOptions>, bulk?: string): Promise<void> {
  const bulkTable = new SharedArrayBuffer(BULK_TABLE_BYTES);
  const moved = { bytes: BULK_CONNECTION_BYTES, ms: 0 };
  if (bulk !== undefined) new BulkDestinations(bulkTable).ended(bulk, moved);
  const second = { index: 1, workers: 2, bulkTable, portReuse: true, nodeName: NODE, ...over };
  network = await WorkerNetwork.create(second, undefined, STILL, () => 0);
  network.meshOnNode(NODE);
  await network.start('alice');
  await network.start('bob');
  network.serve('bob', 8080, (socket) => socket.pipe(socket));
  network.serve('bob', 8081, pour);
}

/** As much as makes a bulk connection, then the end. */
function pour(socket: Socket): void {
  Readable.from(Array.from({ length: BULK_CONNECTION_BYTES / CHUNK.length }, () => CHUNK)).pipe(socket);
}

/** Takes all that is poured, and waits for the connection's end. */
async function drink(): Promise<void> {
  const { socket, ended } = await network.connect('alice', BOB_IP, 8081);
  socket.removeAllListeners('data').resume();
  await ended;
  socket.end();
  await network.eventually('no connections', () => network.connections().length === 0 || undefined);
}

/** A short exchange, which leaves its tunnel open. */
async function talk(port: number): Promise<void> {
  expect(await (await network.connect('alice', BOB_IP, port)).ask('hello', 1)).not.toBe('');
}

/** Whose the far ends of alice's tunnels are. */
function farEnds(): readonly string[] {
  const tunnels = network.netns('alice').run('ss', '-Htn', 'state', 'established', 'dport', '=', ':15008');
  const ports = [...tunnels.matchAll(/:(\d+)\s+\S+:15008/g)].map(([, port]) => Number(port));
  return ports.map((port) => (OWN.includes(port) ? 'own' : NEXT.includes(port) ? 'next' : 'any')).toSorted();
}

test('a destination that moved much has a thread for each end of the next connection', async () => {
  await start({});
  await drink();
  expect(farEnds()).toEqual(['own']);
  await talk(8081);
  expect(farEnds()).toEqual(['next', 'own']);
});

test('other destinations at the same address have not', async () => {
  await start({}, `${BOB_IP}:8081`);
  await talk(8080);
  expect(farEnds()).toEqual(['own']);
});

test('nor has one that is not known to be on this node: its threads are another process’s', async () => {
  await start({ nodeName: '' }, `${BOB_IP}:8080`);
  await talk(8080);
  expect(farEnds()).toEqual(['own']);
});

test('a worker that is the only one has one tunnel for what moved much and what did not', async () => {
  await start({ index: 0, workers: 1 }, `${BOB_IP}:8080`);
  await talk(8080);
  await talk(8081);
  expect(farEnds()).toEqual(['any']);
});
