// Sentences a second: all engines are loaded into one page and take turns of a few calls, so that what else the machine does
// falls on all of them. The median of the rounds counts.

import { median } from '../measure.mjs';
import { smallFiles } from './files.mjs';
import { startEngine } from './engines.mjs';
import { ENCODER_SHAPES, multiplyAddsPerToken } from './shapes.mjs';
import { sentences } from './texts.mjs';

/** Sentences that a round of small batches takes, one call after the other. */
const SENTENCES_A_ROUND = 32;
/** So many that a worker does not fall asleep between them, nor a cache forget the weights. */
const CALLS_A_TURN = 8;

/**
 * @param {{ shape: string, batches: number[], rounds: number, runs: object[] }} job `runs` as `startEngine` takes them, with a
 *   title each
 * @returns {Promise<object[]>} a result for each run
 */
export async function measureEncoders({ shape, batches, rounds, runs }, log = () => {}) {
  const texts = sentences(Math.max(SENTENCES_A_ROUND, ...batches));
  const tokens = tokenized(shape, texts);
  const longest = ENCODER_SHAPES[shape].positions;
  const fits = texts.map((_, i) => i).filter((i) => tokens[i].length <= longest);
  const list = { texts: fits.map((i) => texts[i]), tokens: fits.map((i) => tokens[i]) };
  const entries = [];
  for (const run of runs) {
    log(`— ${run.title}`);
    try {
      const engine = await startEngine({ ...run, shape });
      entries.push({ run, engine, ways: waysOf(engine, list) });
      log(`loaded in ${Math.round(engine.about.loadMs)} ms`);
      await warmUp(entries.at(-1), batches);
    } catch (error) {
      log(`${run.title} failed: ${[error.name, error.code, error.message, error.hint].filter(Boolean).join(' · ')}`);
      const at = entries.findIndex((entry) => entry.run === run);
      if (at >= 0) entries.splice(at, 1);
      entries.push({ run, error });
    }
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const batch of batches) {
      const turns = entries.flatMap(({ run, ways }) => (ways ?? []).map((way) => ({ run, way })));
      const rates = await oneRound(
        turns.map(({ way }) => way),
        batch,
      );
      turns.forEach(({ way }, i) => (way.rates[batch] ??= []).push(rates[i]));
      const said = turns.map(
        ({ run, way }, i) => `${run.title}${way.name === 'tokens' ? ' (tokens)' : ''} ${rates[i].toFixed(1)}`,
      );
      log(`round ${round}, batch ${batch}: ${said.join(' · ')}`);
    }
  }
  const reference = entries.find(({ run, engine }) => engine && run.weights === 'fp32' && run.engine !== 'wp-models');
  const results = entries.map((entry) => resultOf(entry, reference, tokensOf(list), shape));
  for (const { engine } of entries) await engine?.release();
  return results;
}

const tokensOf = ({ tokens }) => tokens.reduce((sum, ids) => sum + ids.length, 0) / tokens.length;

function waysOf(engine, { texts, tokens }) {
  const ways = [];
  if (engine.embed) ways.push({ name: 'texts', list: texts, call: engine.embed, rates: {} });
  if (engine.embedTokens) ways.push({ name: 'tokens', list: tokens, call: engine.embedTokens, rates: {} });
  return ways;
}

/** Every length that will come, once: what is compiled for it is not measured. */
async function warmUp({ ways }, batches) {
  for (const way of ways) {
    for (const batch of batches) await oneRound([way], batch);
    way.vectors = await way.call(way.list);
  }
}

/** Sentences a second of each: they take turns of a few calls. @returns {Promise<number[]>} */
async function oneRound(ways, batch) {
  const times = ways.map(() => 0);
  const { length } = ways[0].list;
  const count = Math.floor(length / batch) * batch || length;
  const turn = batch * CALLS_A_TURN;
  for (let from = 0; from < count; from += turn) {
    const end = Math.min(count, from + turn);
    for (const [i, { list, call }] of ways.entries()) {
      const start = performance.now();
      for (let at = from; at < end; at += batch) await call(list.slice(at, at + batch));
      times[i] += performance.now() - start;
    }
  }
  return times.map((time) => (count * 1000) / time);
}

function resultOf({ run, engine, ways, error }, reference, tokensPerSentence, shape) {
  const about = { engine: run.engine, title: run.title, kind: 'encoder' };
  if (error) return { ...about, error: `${error.code ?? error.name}: ${error.message}` };
  const vectors = ways[0].vectors;
  const others = reference?.ways[0].vectors;
  return {
    ...about,
    ...engine.about,
    tokensPerSentence,
    multiplyAddsPerSentence: tokensPerSentence * multiplyAddsPerToken(ENCODER_SHAPES[shape]),
    /** Sentences a second by batch; `texts` with tokenizing, `tokens` without. */
    ...Object.fromEntries(
      ways.map(({ name, rates }) => [
        name,
        Object.fromEntries(
          Object.entries(rates).map(([batch, all]) => [batch, { sentencesPerSecond: median(all), rounds: all }]),
        ),
      ]),
    ),
    /** The least likeness to the vectors of the peer's f32. */
    leastCosine: others && Math.min(...vectors.map((vector, i) => dot(vector, others[i]))),
  };
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/**
 * The tokens of these texts, whose words and pieces the vocabulary has: longest pieces first, as WordPiece has them.
 *
 * @returns {number[][]}
 */
function tokenized(shape, texts) {
  const { vocab } = JSON.parse(new TextDecoder().decode(smallFiles(shape)['tokenizer.json'])).model;
  const piecesOf = (word) => {
    const ids = [];
    for (let at = 0; at < word.length;) {
      let end = word.length;
      const name = () => (at > 0 ? '##' : '') + word.slice(at, end);
      while (end > at && !Object.hasOwn(vocab, name())) end -= 1;
      if (end === at) throw new Error(`${word} has no pieces.`);
      ids.push(vocab[name()]);
      at = end;
    }
    return ids;
  };
  return texts.map((text) => [vocab['[CLS]'], ...text.split(/ |(?=[.?])/).flatMap(piecesOf), vocab['[SEP]']]);
}
