import { describe, expect, test } from '@jest/globals';
import { COMMANDS, parseCommandLine } from './command-line.ts';
import { helpText } from './commands/help.ts';

describe('parseCommandLine', () => {
  test('commands, operands and options in any order', () => {
    expect(parseCommandLine(['-n', 'shop', 'why', 'web', '--output=json', 'api:80'])).toEqual({
      command: 'why',
      operands: ['web', 'api:80'],
      options: {
        output: 'json',
        namespace: 'shop',
        node: undefined,
        kubeconfig: undefined,
        context: undefined,
        meshNamespace: 'istio-system',
        wait: true,
        timeoutMs: 60_000,
        yes: false,
        dryRun: false,
        set: [],
        valuesFiles: [],
        resetValues: false,
        components: [],
        forceConflicts: false,
        allowDowngrade: false,
        release: false,
        keepLabels: false,
        crds: false,
        purge: false,
        probe: true,
        image: undefined,
        allNamespaces: false,
        waypoint: {
          name: 'waypoint',
          trafficType: undefined,
          revision: undefined,
          enrolNamespace: false,
          overwrite: false,
          all: false,
        },
        request: {
          protocol: undefined,
          method: 'GET',
          path: '/',
          authority: undefined,
          headers: [],
          token: undefined,
          isGiven: false,
        },
      },
    });
    expect(
      parseCommandLine(['install', '--set', 'a=b', '-y', '--set=c=d', '-f', 'x', '-o', 'yaml']).options,
    ).toMatchObject({
      set: ['a=b', 'c=d'],
      valuesFiles: ['x'],
      yes: true,
      output: 'yaml',
      timeoutMs: 300_000,
    });
    expect(parseCommandLine(['enroll', 'shop', '--no-wait', '--timeout', '1m30s']).options).toMatchObject({
      wait: false,
      timeoutMs: 90_000,
    });
  });

  test.each([
    [[], 'help', []],
    [['--help'], 'help', []],
    [['help', 'why'], 'help', ['why']],
    [['why', '-h'], 'help', ['why']],
    [['why', 'a', 'b', '--help'], 'help', ['why']],
    [['help', 'waypoint', 'apply'], 'help', ['waypoint', 'apply']],
    [['waypoint', '--help'], 'help', ['waypoint']],
    [['waypoint', 'apply', '-h'], 'help', ['waypoint', 'apply']],
  ])('%j asks for help', (args, command, operands) => {
    expect(parseCommandLine(args)).toMatchObject({ command, operands });
  });

  const bad: Record<string, [args: string[], message: string | RegExp]> = {
    'an unknown command': [['explain'], 'unknown command "explain"; "ambit help" lists them'],
    'a word of every object': [['constructor'], 'unknown command "constructor"; "ambit help" lists them'],
    'too few operands': [['why', 'web'], 'why needs SOURCE DESTINATION[:PORT]; "ambit help why" says more'],
    'too many': [['why', 'web', 'api', 'db'], 'why: unexpected "db"'],
    'a namespace without its option': [
      ['policies', 'shop'],
      'policies: unexpected "shop"; -n NAME names a namespace; "ambit help policies" says more',
    ],
    'a word of another mesh': [
      ['proxy-status'],
      'unknown command "proxy-status": here that is status; "ambit help" lists them',
    ],
    'an operand where none belongs': [['status', 'shop'], 'status: unexpected "shop"'],
    'an unknown option': [
      ['status', '--zzz'],
      /^there is no option --zzz; "ambit help" lists commands and options$/,
    ],
    'a command that is nearly one': [
      ['statsu'],
      /^unknown command "statsu"; did you mean status\? "ambit help" lists them$/,
    ],
    'an option that is nearly one': [
      ['status', '--outptu', 'json'],
      /^there is no option --outptu; did you mean --output; "ambit help" lists commands and options$/,
    ],
    'an option like one of another command': [['status', '--fro'], /^there is no option --fro; "ambit help"/],
    'an option of no command': [['--nam'], /^there is no option --nam; "ambit help"/],
    'an option that is like another in two letters of three': [
      ['waypoint', 'apply', '--foo'],
      /^there is no option --foo; "ambit help"/,
    ],
    'one of a command of two words': [
      ['waypoint', 'apply', '-n', 'shop', '--overwirte'],
      'did you mean --overwrite;',
    ],
    'the same that begins with no': [['enroll', 'a', '--no-wat'], 'did you mean --no-wait;'],
    'the version of a command': [['status', '--version'], 'status takes no option --version'],
    'an unknown letter': [['status', '-z'], 'there is no option -z; "ambit help"'],
    'an option without its value': [
      ['status', '--output'],
      'option -o, --output needs a value; "ambit help"',
    ],
    'an option instead of the value': [['status', '-o', '--node'], /^option -o needs a value; [^\n.]*$/],

    'a value for a switch': [['enroll', 'shop', '--wait=3'], 'option --wait takes no value; "ambit help"'],
    'an option of another command': [['status', '--node', 'n'], 'status takes no option --node'],
    'another output': [['status', '-o', 'yaml'], '--output is table or json, not "yaml"'],
    'labels to keep where none are taken off': [
      ['uninstall', '--keep-labels'],
      '--keep-labels goes with --release',
    ],
    'an output of no command': [['install', '-o', 'xml'], '--output is table, json or yaml, not "xml"'],
    'another duration': [['enroll', 'shop', '--timeout', '1.5s'], '--timeout wants a duration'],
  };
  test.each(Object.entries(bad))('refuses %s', (_, [args, message]) => {
    expect(() => parseCommandLine(args)).toThrow(message);
  });
});

test('help tells of every command, and every command has help', () => {
  const overview = helpText(undefined);
  const texts = [overview];
  for (const command of Object.keys(COMMANDS)) {
    expect(overview).toContain(`\n  ${command} `);
    const text = helpText(command);
    expect(text).toMatch(new RegExp(`^${command}: `));
    texts.push(text);
  }
  expect(() => helpText('explain')).toThrow('unknown command');
  expect(texts.flatMap((text) => text.split('\n')).filter((line) => line.length > 120)).toEqual([]);
});

test('help says what an option means for that command', () => {
  expect(helpText('status')).toMatch(/--output table\|json +how to print; default table\n/);
  expect(helpText('install')).toMatch(/--output table\|json\|yaml +how to print; default table\n/);
  expect(helpText('waypoint generate')).toMatch(/--output yaml\|json +how to print; default yaml\n/);
  expect(helpText('enroll')).toMatch(
    /--timeout DURATION +how long to wait, such as 30s \(no unit: seconds\); default 60s\n/,
  );
  expect(helpText('uninstall')).toMatch(
    /--timeout DURATION +how long to wait, such as 30s \(no unit: seconds\); default 5m\n/,
  );
  expect(helpText('why')).toMatch(/--namespace NAME +the namespace of names that are given without one\n/);
});
