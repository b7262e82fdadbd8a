import { readdirSync, readFileSync, openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { interfaceAddresses, startLoopback } from './interfaces.ts';
import { createUnnamedNetns, netnsOfFd, openNetns, runInNetns } from './netns.ts';
import { TestNamespaces, type TestNetns } from './testing/namespaces.ts';

const interfaces = () => readFileSync('/proc/thread-self/net/dev', 'utf8');
const openFds = () => readdirSync('/proc/self/fd').length;

describe('network namespaces', () => {
  const namespaces = new TestNamespaces();
  let a: TestNetns;
  let b: TestNetns;
  beforeAll(() => {
    a = namespaces.create();
    b = namespaces.create();
    a.run('ip', 'link', 'add', 'only-a', 'type', 'veth');
    b.run('ip', 'link', 'add', 'only-b', 'type', 'veth');
  });
  afterAll(() => namespaces[Symbol.dispose]());

  test('two fds of one namespace have one identity, two namespaces two', () => {
    using again = openNetns(a.path);
    expect([again.dev, again.ino]).toEqual([a.dev, a.ino]);
    expect(again.ino).not.toBe(b.ino);
  });

  test('what runs inside sees that namespace, also nested, and the thread is back afterwards', () => {
    const before = interfaces();
    runInNetns(a.fd, () => {
      expect(interfaces()).toContain('only-a');
      runInNetns(b.fd, () => expect(interfaces()).toContain('only-b'));
      expect(interfaces()).toContain('only-a');
    });
    expect(interfaces()).toBe(before);
  });

  test('the thread is back after an exception', () => {
    const before = interfaces();
    const fail = () =>
      runInNetns(a.fd, () => {
        throw new Error('inside');
      });
    expect(fail).toThrow('inside');
    expect(interfaces()).toBe(before);
  });

  test('asynchronous work inside is refused', () => {
    expect(() => runInNetns(a.fd, () => Promise.resolve(1))).toThrow('must not be asynchronous');
  });

  test('one without a name is empty, its loopback can be started, the thread is back, and it ends with its fd', () => {
    const before = interfaces();
    const fds = openFds();
    const made = createUnnamedNetns();
    const addresses = () => interfaceAddresses(made.fd).map(({ ip }) => ip);
    expect(interfaces()).toBe(before);
    expect([a.ino, b.ino]).not.toContain(made.ino);
    expect(addresses()).toEqual([]);
    startLoopback(made.fd);
    expect(addresses()).toEqual(expect.arrayContaining(['127.0.0.1']));
    made.close();
    expect(openFds()).toBe(fds);
  });

  test('another thread is not moved along', async () => {
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       const { readFileSync } = require('node:fs');
       parentPort.on('message', () => parentPort.postMessage(readFileSync('/proc/thread-self/net/dev', 'utf8')));`,
      { eval: true },
    );
    await new Promise((resolve) => worker.once('online', resolve));
    const answer = new Promise((resolve) => worker.once('message', resolve));
    const seen = runInNetns(a.fd, () => {
      worker.postMessage('look');
      const shared = new Int32Array(new SharedArrayBuffer(4));
      Atomics.wait(shared, 0, 0, 100);
      return interfaces();
    });
    expect(seen).toContain('only-a');
    expect(await answer).not.toContain('only-a');
    await worker.terminate();
  });

  test('an fd that is no network namespace is refused and closed', () => {
    const before = openFds();
    const fd = openSync('/proc/self/ns/uts', 'r');
    expect(() => netnsOfFd(fd)).toThrow('is not a network namespace');
    expect(() => openNetns('/proc/self/status')).toThrow('is not a network namespace');
    expect(openFds()).toBe(before);
  });

  test('a namespace that does not exist is named in the error', () => {
    expect(() => openNetns('/var/run/netns/nowhere')).toThrow('/var/run/netns/nowhere');
  });
});
