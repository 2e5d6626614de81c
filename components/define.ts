// Registers a custom element once. A page may load the bundle twice (two widgets, two versions): the first definition
// stays, and the second load does nothing instead of throwing.

export function define(name: string, element: CustomElementConstructor): void {
  if (typeof customElements === 'undefined') return; // Node and server-side rendering
  if (!customElements.get(name)) customElements.define(name, element);
}
