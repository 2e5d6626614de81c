// Keeps a scrolling box at its end while its content grows, until the person scrolls up; going back to the end takes
// it up again.

const END_TOLERANCE_PX = 48;

export class AutoScroll {
  #isFollowing = true;
  #observer: ResizeObserver | undefined;
  #box: HTMLElement | undefined;
  #lastTop = 0;

  /** `onChange` is called when following starts or ends. */
  constructor(private readonly onChange: () => void) {}

  get isFollowing(): boolean {
    return this.#isFollowing;
  }

  /** `box` scrolls; `content` is the one child that grows. */
  attach(box: HTMLElement, content: HTMLElement): void {
    if (this.#box === box) return;
    this.detach();
    this.#box = box;
    box.addEventListener('scroll', this.#scrolled, { passive: true });
    // Scrolling in the callback itself may bring hidden turns to their full height, and the observer into a loop.
    this.#observer = new ResizeObserver(() => requestAnimationFrame(() => this.keep()));
    this.#observer.observe(content);
    this.#observer.observe(box);
  }

  detach(): void {
    this.#observer?.disconnect();
    this.#box?.removeEventListener('scroll', this.#scrolled);
    this.#box = undefined;
  }

  /** Goes to the end and follows it again. */
  follow(): void {
    this.#set(true);
    this.#jump();
  }

  /** Goes to the end, if it is followed: called when content was added. */
  keep(): void {
    if (this.#isFollowing) this.#jump();
  }

  #jump(): void {
    const box = this.#box;
    if (!box) return;
    box.scrollTop = box.scrollHeight;
    this.#lastTop = box.scrollTop;
  }

  readonly #scrolled = (): void => {
    const box = this.#box;
    if (!box) return;
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight <= END_TOLERANCE_PX;
    const wentUp = box.scrollTop < this.#lastTop - 1;
    this.#lastTop = box.scrollTop;
    // Growing content leaves the end behind without anyone scrolling: only going up ends the following.
    if (isAtEnd && !wentUp) this.#set(true);
    else if (wentUp && !isAtEnd) this.#set(false);
  };

  #set(isFollowing: boolean): void {
    if (isFollowing === this.#isFollowing) return;
    this.#isFollowing = isFollowing;
    this.onChange();
  }
}
