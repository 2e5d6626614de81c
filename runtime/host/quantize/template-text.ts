import { isRecord } from '../../processing/json.ts';
import type { ModelDescription } from '../model-description.ts';

/** The model's chat template where it is one text: of chat_template.jinja, chat_template.json or tokenizer_config.json. */
export function chatTemplateText({
  templateText,
  templateJson,
  tokenizerConfig,
}: ModelDescription): string | undefined {
  if (templateText !== undefined) return templateText;
  for (const file of [templateJson, tokenizerConfig]) {
    const template = isRecord(file) ? file['chat_template'] : undefined;
    if (typeof template === 'string') return template;
  }
  return undefined;
}
