import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { WpError } from '../../runtime/errors.ts';
import { validateMessages } from '../../runtime/processing/chat-messages.ts';
import { createChatTemplate, type ChatTemplate } from '../../runtime/processing/chat-template.ts';
import { formatDate, range } from '../../runtime/processing/jinja-globals.ts';
import type { ChatMessage } from '../../runtime/types.ts';

interface Goldens {
  special: Record<string, string>;
  templates: Record<string, string>;
  conversations: Record<string, ChatMessage[]>;
  variables: Record<string, Record<string, unknown>>;
  cases: {
    template: string;
    conversation: string;
    variables: string;
    addGenerationPrompt: boolean;
    text?: string;
    refusal?: string;
  }[];
}

// Made by ../fixtures/processing/make_chat_templates.py with transformers.
const goldens = JSON.parse(
  readFileSync(new URL('../fixtures/processing/chat-templates.json', import.meta.url), 'utf8'),
) as Goldens;

function templateOf(source: unknown, special: Record<string, unknown> = goldens.special): ChatTemplate {
  const template = createChatTemplate({ tokenizerConfig: { ...special, chat_template: source } });
  assert.ok(template);
  return template;
}

const SYSTEM_LESS = ['instructions', 'turns', 'lines'];

describe('chat templates', () => {
  for (const [name, source] of Object.entries(goldens.templates)) {
    it(`renders ${name} as transformers does`, () => {
      const template = templateOf(source);
      assert.equal(template.systemRole, SYSTEM_LESS.includes(name) ? 'merged' : 'native');
      let compared = 0;
      for (const golden of goldens.cases.filter((each) => each.template === name)) {
        const messages = goldens.conversations[golden.conversation]!;
        // Where the template has no system role we differ from transformers on purpose: see the next test.
        if (template.systemRole === 'merged' && messages[0]!.role === 'system') continue;
        compared++;
        const options = {
          addGenerationPrompt: golden.addGenerationPrompt,
          variables: goldens.variables[golden.variables]!,
        };
        const label = `${golden.conversation}, ${golden.variables}, ${String(golden.addGenerationPrompt)}`;
        if (golden.refusal === undefined) {
          assert.equal(template.render(messages, options), golden.text, label);
        } else {
          assert.throws(
            () => template.render(messages, options),
            (error) =>
              error instanceof WpError && error.code === 'invalid-argument' && error.details.refusal === golden.refusal,
            label,
          );
        }
      }
      assert.ok(compared >= 8);
    });
  }

  it('puts a system message at the head of the first user message where the template has no system role', () => {
    for (const name of SYSTEM_LESS) {
      const template = templateOf(goldens.templates[name]);
      const user = (content: string): ChatMessage => ({ role: 'user', content });
      const merged = template.render([{ role: 'system', content: 'Be brief.' }, user('Who are you?')]);
      assert.equal(merged, template.render([user('Be brief.\n\nWho are you?')]), name);
      assert.equal(template.reasons.length, 1);
      assert.equal(template.render([{ role: 'system', content: '' }, user('x')]), template.render([user('x')]));
      assert.throws(() => template.render([{ role: 'system', content: 'alone' }]), { code: 'invalid-argument' });
    }
  });

  it('finds the template in each of its places, the file of its own first', () => {
    const render = (files: Parameters<typeof createChatTemplate>[0]): string | undefined =>
      createChatTemplate(files)?.render([{ role: 'user', content: 'x' }]);
    const text = (label: string): string => `${label}{{ messages[0].content }}`;
    const tokenizerConfig = { chat_template: text('config:') };
    assert.equal(render({ tokenizerConfig }), 'config:x');
    assert.equal(render({ tokenizerConfig, templateJson: { chat_template: text('json:') } }), 'json:x');
    assert.equal(render({ tokenizerConfig, templateText: text('jinja:'), templateJson: {} }), 'jinja:x');
    const named = [
      { name: 'tool_use', template: text('tools:') },
      { name: 'default', template: text('default:') },
    ];
    assert.equal(render({ tokenizerConfig: { chat_template: named } }), 'default:x');
    assert.equal(createChatTemplate({ tokenizerConfig: { chat_template: null } }), undefined);
    assert.equal(createChatTemplate({}), undefined);
    for (const bad of [
      5,
      [],
      [{ name: 'default' }],
      [
        { name: 'a', template: '' },
        { name: 'b', template: '' },
      ],
    ]) {
      assert.throws(() => createChatTemplate({ tokenizerConfig: { chat_template: bad } }), { code: 'corrupt-file' });
    }
  });

  it('says what is wrong with a template that does not parse or run', () => {
    assert.throws(() => templateOf('{% for message in messages %}'), { code: 'unsupported-config' });
    assert.throws(() => templateOf('{{ nothing() }}').render([{ role: 'user', content: 'x' }]), {
      code: 'unsupported-config',
    });
    assert.throws(() => templateOf('{{ range(10000000000) }}').render([{ role: 'user', content: 'x' }]), {
      code: 'unsupported-config',
    });
  });

  it('gives a template special tokens that are objects', () => {
    const template = templateOf('{{ bos_token }}{{ pad_token }}{{ messages[0].content }}', {
      bos_token: { content: '<s>', lstrip: false },
      pad_token: null,
    });
    assert.equal(template.render([{ role: 'user', content: 'x' }]), '<s>x');
  });

  it('has the names of Python and transformers', () => {
    const date = new Date(2024, 6, 5, 15, 4, 9);
    assert.equal(
      formatDate(date, '%d %b %Y, %-d %B %y %H:%M:%S %I%p %A %a %% %q'),
      '05 Jul 2024, 5 July 24 15:04:09 03PM Friday Fri % %q',
    );
    assert.deepEqual(range(3), [0, 1, 2]);
    assert.deepEqual(range(5, 0, -2), [5, 3, 1]);
    assert.deepEqual(range(2, 2), []);
    const year = templateOf('{{ strftime_now("%Y") }}{{ messages[0].content }}').render([
      { role: 'user', content: '' },
    ]);
    assert.match(year, /^\d{4}$/);
  });
});

describe('validateMessages', () => {
  it('names what is wrong', () => {
    const bad: unknown[] = [
      undefined,
      'Hello',
      [],
      ['Hello'],
      [null],
      [{ role: 'user' }],
      [{ role: 'robot', content: 'x' }],
      [{ role: 'user', content: ['x'] }],
      [{ role: 'user', content: 'x' }, { content: 'y' }],
    ];
    for (const messages of bad) assert.throws(() => validateMessages(messages), { code: 'invalid-argument' });
    assert.throws(() => validateMessages([{ role: 'robot', content: 'x' }]), {
      message: 'Message 0 has the role "robot".',
    });
  });

  it('replaces lone surrogates and keeps pairs', () => {
    const [message] = validateMessages([{ role: 'user', content: 'a\ud83d b\udd99 c\ud83e\udd99' }]);
    assert.equal(message!.content, 'a\ufffd b\ufffd c🦙');
  });
});
