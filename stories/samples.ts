// Texts that the stories show.

export const MARKDOWN_ANSWER = `A greeting in TypeScript takes **three** steps, and one of them is \`optional\`:

1. Write a function.
2. Call it:
   - with a name
   - or without one
3. Read what comes back.

\`\`\`ts
export function greet(name = 'world'): string {
  // A line that is long enough to scroll sideways in a narrow column, so that one sees it do so.
  return \`Hello, \${name}!\`;
}
\`\`\`

| Call | Result |
|---|---|
| \`greet()\` | Hello, world! |
| \`greet('Ada')\` | Hello, Ada! |

> A good greeting is short.

More is in the [handbook](https://www.typescriptlang.org/docs/).`;

export const STORY_PIECES = [
  'Once upon a time',
  ' there was a fox',
  ' who lived by the sea.',
  ' Every morning she',
  ' walked down to',
];

export const NOTICE = 'This small model tells stories. Most of its facts are wrong.';
