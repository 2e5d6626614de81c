// What is embedded: sentences of 8 to 40 tokens, as they come in notes, questions and search results, and a WordPiece tokenizer
// that knows their words. Most words are a token, some are two or three, as in a trained vocabulary.

const WORDS =
  `the a of to and in is it you that was for on are with as they be at one have this from or had by but some what there we can out
other were all your when up use how said an each she which do their time if will way about many then them would write like so these
her long make thing see him two has look more day could go come did my sound no most number who over know water than call first
people may down side been now find any new work part take get place made live where after back little only round man year came show
every good me give our under name very through just form much great think say help low line before turn cause same mean differ move
right boy old too does tell sentence set three want air well also play small end put home read hand port large spell add even land
here must big high such follow act why ask men change went light kind off need house picture try us again animal point mother world
near build self earth father train river mountain winter garden kitchen window letter market engine teacher doctor history science
music station weather bridge island travel evening morning question answer memory library computer village`.split(
    /\s+/,
  );
/** Words that no vocabulary has whole, by their pieces. */
const SPLIT_WORDS = [
  ['embed', '##ding', '##s'],
  ['token', '##izer'],
  ['quant', '##ize', '##d'],
  ['green', '##house'],
  ['over', '##tak', '##en'],
  ['photo', '##graph', '##er'],
  ['un', '##usual'],
  ['break', '##water'],
];
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const PUNCTUATION = ['.', ',', '?'];

/** Tokens between [CLS] and [SEP]: of short questions and of long sentences, 18 on average. */
const LENGTHS = [
  6, 14, 22, 9, 17, 30, 12, 38, 7, 19, 26, 10, 15, 34, 11, 21, 8, 13, 24, 16, 28, 9, 18, 36, 12, 20, 6, 25, 14, 11, 31,
  17,
];

/**
 * @param {number} count
 * @returns {string[]} the same ones every time, each different from the others
 */
export function sentences(count) {
  let state = 12345;
  const next = (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 4294967296) * limit);
  };
  return Array.from({ length: count }, (_, i) => {
    let left = LENGTHS[i % LENGTHS.length] - 1;
    const words = [];
    while (left > 0) {
      const pieces = left > 3 && next(8) === 0 ? SPLIT_WORDS[next(SPLIT_WORDS.length)] : [WORDS[next(WORDS.length)]];
      words.push(pieces.map((piece) => piece.replace('##', '')).join(''));
      left -= pieces.length;
    }
    return `${words.join(' ')}${next(4) === 0 ? '?' : '.'}`;
  });
}

/** tokenizer.json of a BERT. @param {number} vocabulary */
export function tokenizerJson(vocabulary) {
  const known = [...new Set([...SPECIAL, ...PUNCTUATION, ...WORDS, ...SPLIT_WORDS.flat()])];
  const vocab = Object.fromEntries(known.map((token, id) => [token, id]));
  for (let id = known.length; id < vocabulary; id += 1) vocab[`w${id.toString(36)}`] = id;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const special = (token) => ({ [token]: { id: token, ids: [vocab[token]], tokens: [token] } });
  const piece = (kind, id) => ({ [kind]: { id, type_id: 0 } });
  const second = (kind, id) => ({ [kind]: { id, type_id: 1 } });
  const single = [piece('SpecialToken', '[CLS]'), piece('Sequence', 'A'), piece('SpecialToken', '[SEP]')];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({ id, content, ...flags })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single,
      pair: [...single, second('Sequence', 'B'), second('SpecialToken', '[SEP]')],
      special_tokens: { ...special('[CLS]'), ...special('[SEP]') },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

export function tokenizerConfig({ positions }) {
  return {
    tokenizer_class: 'BertTokenizer',
    do_lower_case: true,
    model_max_length: positions,
    pad_token: '[PAD]',
    unk_token: '[UNK]',
    cls_token: '[CLS]',
    sep_token: '[SEP]',
    mask_token: '[MASK]',
  };
}
