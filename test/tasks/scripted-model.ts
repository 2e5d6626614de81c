// A model whose answers are written beforehand: its logits name the next token of a script, whatever the prompt.

import type { StepInputs } from '../../runtime/backends/backend.ts';
import { DecoderSession } from '../../runtime/generation/decode-loop.ts';
import { createChatTemplate } from '../../runtime/processing/chat-template.ts';
import type { TextModel } from '../../runtime/tasks/chat.ts';
import { FakeProgram, positions } from '../generation/fake-program.ts';
import { smallTokenizer } from '../processing/support.ts';

export const TEMPLATE =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

class ScriptedProgram extends FakeProgram {
  constructor(
    private readonly script: readonly number[],
    private readonly vocabulary: number,
  ) {
    super(512, 32, 1);
  }

  #at = 0;

  override async run(inputs: StepInputs): Promise<Float32Array> {
    await super.run(inputs);
    const logits = new Float32Array(this.vocabulary);
    const isLastOfPrompt = inputs.tokenIds.length < this.maxTokens;
    if (isLastOfPrompt) logits[this.script[this.#at++ % this.script.length]!] = 50;
    return logits;
  }
}

/** The script is text, or token ids; it is followed by <|im_end|> and then starts again. */
export function scriptedModel(
  script: string | readonly number[],
  { template = TEMPLATE as string | null } = {},
): TextModel & { program: FakeProgram } {
  const tokenizer = smallTokenizer('byteLevel');
  const end = tokenizer.tokenToId('<|im_end|>')!;
  const ids = typeof script === 'string' ? tokenizer.encode(script) : script;
  const program = new ScriptedProgram([...ids, end], tokenizer.vocabularySize);
  const { contextLength, maxTokens } = program;
  return {
    program,
    session: new DecoderSession({ program, rotaryRows: positions, contextLength, maxTokens }),
    tokenizer,
    template: createChatTemplate({ tokenizerConfig: { chat_template: template } }),
    defaults: { maxTokens: 100, temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
    eosIds: [end],
  };
}
