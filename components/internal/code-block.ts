// A code block of an answer gets a head with its language and a button that copies it. It works on nodes that are
// sanitised already and adds only what it creates itself. The button is found by its place: see internal/message.ts.

export function decorateCodeBlocks(fragment: DocumentFragment): void {
  for (const pre of fragment.querySelectorAll('pre')) {
    const code = pre.querySelector('code');
    const language = /^language-(.+)$/.exec(code?.className ?? '')?.[1] ?? '';
    const figure = document.createElement('figure');
    figure.className = 'code';
    figure.setAttribute('part', 'code-block');
    const head = document.createElement('figcaption');
    const label = document.createElement('span');
    label.textContent = language || 'text';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'text-button';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', language ? `Copy ${language} code` : 'Copy code');
    head.append(label, button);
    pre.replaceWith(figure);
    pre.tabIndex = 0; // it scrolls sideways: the keyboard must reach it
    pre.setAttribute('role', 'group');
    pre.setAttribute('aria-label', language ? `${language} code` : 'Code');
    pre.dir = 'ltr';
    figure.append(head, pre);
  }
  for (const table of fragment.querySelectorAll('table')) {
    const scroller = document.createElement('div');
    scroller.className = 'table';
    scroller.tabIndex = 0;
    scroller.setAttribute('role', 'group');
    scroller.setAttribute('aria-label', 'Table');
    table.replaceWith(scroller);
    scroller.append(table);
  }
}
