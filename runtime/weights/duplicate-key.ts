// JSON.parse keeps the last of two equal keys and says nothing. In a header of weights that would hide one tensor behind
// another, so the text is looked through for them.

/** The first key that an object of `text` (valid JSON) has twice, or undefined. */
export function duplicateKey(text: string): string | undefined {
  // One entry an open container: the keys of an object, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let i = 0;
  let expectsKey = false;
  while (i < text.length) {
    const char = text[i]!;
    if (char === '"') {
      const end = closingQuote(text, i);
      if (expectsKey) {
        const keys = open[open.length - 1]!;
        const key = JSON.parse(text.slice(i, end + 1)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
        expectsKey = false;
      }
      i = end;
    } else if (char === '{') {
      open.push(new Set());
      expectsKey = true;
    } else if (char === '[') {
      open.push(undefined);
    } else if (char === '}' || char === ']') {
      open.pop();
      expectsKey = false;
    } else if (char === ',') {
      expectsKey = open[open.length - 1] !== undefined;
    }
    i += 1;
  }
  return undefined;
}

function closingQuote(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}
