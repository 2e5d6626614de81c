// What a screen reader hears while an answer streams: whole sentences, not tokens. Text is given as it grows; finished
// sentences are added to a polite live region. Old lines are dropped, since the answer itself can be read in the log.

const SENTENCE_END = /[.!?…。！？:;]["'”’)\]]*\s|\n/g;
const KEPT_LINES = 6;

export class Announcer {
  #spokenLength = 0;

  constructor(private readonly region: () => HTMLElement | null | undefined) {}

  /** Says one line at once: a status, an outcome. */
  say(line: string): void {
    const region = this.region();
    if (!region || !line.trim()) return;
    const paragraph = document.createElement('p');
    paragraph.textContent = line;
    region.append(paragraph);
    while (region.childElementCount > KEPT_LINES) region.firstElementChild?.remove();
  }

  startAnswer(): void {
    this.#spokenLength = 0;
  }

  /** Takes the answer so far, and says the sentences that have been finished since the last call. */
  follow(text: string, isComplete: boolean): void {
    const rest = text.slice(this.#spokenLength);
    const end = isComplete ? rest.length : lastSentenceEnd(rest);
    if (end === 0) return;
    this.#spokenLength += end;
    this.say(rest.slice(0, end));
  }
}

function lastSentenceEnd(text: string): number {
  let end = 0;
  for (const match of text.matchAll(SENTENCE_END)) end = match.index + match[0].length;
  return end;
}
