import { describe, expect, test } from '@jest/globals';
import { type NetnsId, ZdsSession } from './session.ts';

const pod = (uid: string) => ({ uid, name: uid, namespace: 'shop', serviceAccount: 'default' });
const NETNS: NetnsId = '4:100';
const OTHER: NetnsId = '4:200';

function running(...uids: readonly string[]): ZdsSession {
  const session = new ZdsSession();
  session.connected();
  for (const uid of uids) {
    expect(session.add(pod(uid), NETNS)).toBe('start');
    expect(session.started(uid, NETNS)).toBe(true);
  }
  session.snapshotSent();
  return session;
}

describe('what ztunnel knows from its agent', () => {
  test('ready once the snapshot is complete and everything in it runs', () => {
    const session = new ZdsSession();
    session.connected();
    expect(session.ready).toBe(false);
    session.add(pod('a'), NETNS);
    session.snapshotSent();
    expect(session.ready).toBe(false);
    session.started('a', NETNS);
    expect(session.ready).toBe(true);
    session.disconnected();
    expect(session.ready).toBe(false);
  });

  test('the same pod again is nothing new; elsewhere it is restarted', () => {
    const session = running('a');
    expect(session.add(pod('a'), NETNS)).toBe('running');
    expect(session.add(pod('a'), OTHER)).toBe('restart');
    expect(session.started('a', NETNS)).toBe(false);
    expect(session.started('a', OTHER)).toBe(true);
  });

  test('a new snapshot stops what it does not name, and only at its end', () => {
    const session = running('a', 'b', 'c');
    session.disconnected();
    session.connected();
    session.add(pod('a'), NETNS);
    session.keep('b');
    expect(session.running).toEqual(['a', 'b', 'c']);
    expect(session.snapshotSent()).toEqual(['c']);
    expect(session.running).toEqual(['a', 'b']);
  });

  test('a pod deleted within a snapshot is stopped at its end', () => {
    const session = running('a');
    session.connected();
    session.keep('a');
    expect(session.delete('a')).toEqual([]);
    expect(session.snapshotSent()).toEqual(['a']);
  });

  test('a pod deleted later is stopped at once; an unknown one is fine', () => {
    const session = running('a');
    expect(session.delete('a')).toEqual(['a']);
    expect(session.delete('a')).toEqual([]);
  });

  test('a pod that never started keeps it unready until it is deleted', () => {
    const session = running();
    session.add(pod('a'), NETNS);
    expect(session.pending).toEqual(['a']);
    expect(session.delete('a')).toEqual(['a']);
    expect(session.ready).toBe(true);
    expect(session.started('a', NETNS)).toBe(false);
  });

  test('keep after the snapshot, and a second end of it, break the protocol', () => {
    const session = running();
    expect(() => session.keep('a')).toThrow('KeepWorkload after the snapshot');
    expect(() => session.snapshotSent()).toThrow('second SnapshotSent');
  });
});
