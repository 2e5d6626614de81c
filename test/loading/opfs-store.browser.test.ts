import { expect } from '@esm-bundle/chai';
import { openStore } from '../../runtime/loading/opfs-store.ts';
import type { StoredEntry } from '../../runtime/loading/store.ts';
import type { Command, LoadCommand, LoadResult } from './opfs-store.worker.ts';

const blockBytes = 4096;
const size = 64 * blockBytes + 123;

class StoreWorker {
  private readonly worker = new Worker(new URL('./opfs-store.worker.ts', import.meta.url), { type: 'module' });
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (reason: Error) => void }>();
  private onHanging: (() => void) | undefined;
  private lastId = 0;

  constructor() {
    this.worker.onerror = (event) => this.waiting.forEach(({ reject }) => reject(new Error(event.message)));
    this.worker.onmessage = ({ data }: MessageEvent<{ type: string; id: number; value: never; message: string }>) => {
      if (data.type === 'hanging') this.onHanging?.();
      else if (data.type === 'reply') this.waiting.get(data.id)?.resolve(data.value);
      else this.waiting.get(data.id)?.reject(new Error(data.message));
    };
  }

  call<T>(command: Command): Promise<T> {
    const id = ++this.lastId;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, command });
    });
  }

  load(command: Partial<LoadCommand>): Promise<LoadResult> {
    return this.call({ type: 'load', folder, name: 'model.safetensors', size, ...command });
  }

  hanging(): Promise<void> {
    return new Promise((resolve) => (this.onHanging = resolve));
  }

  kill(): void {
    this.worker.terminate();
  }
}

let folder = '';
let count = 0;
let a: StoreWorker;
let b: StoreWorker;

describe('the store in the origin private file system', () => {
  beforeEach(() => {
    folder = `wp-models-test-${Date.now()}-${++count}`;
    a = new StoreWorker();
    b = new StoreWorker();
  });

  afterEach(async () => {
    a.kill();
    b.kill();
    await (await navigator.storage.getDirectory()).removeEntry(folder, { recursive: true }).catch(() => undefined);
  });

  it('is not there outside dedicated workers, and says so', async () => {
    const store = await openStore({ folder });
    expect(store.reason).to.match(/worker/);
    expect(await store.open({ url: 'https://example.test/x', size: 1, validator: '"1"' })).to.equal(undefined);
  });

  it('serves the second load from the disk, but for one byte that asks the server for its version', async () => {
    const first = await a.load({});
    expect(first).to.deep.include({ outcome: 'equal', networkBytes: size, cachedBytes: 0 });
    const second = await b.load({});
    expect(second).to.deep.include({ outcome: 'equal', networkBytes: 1, cachedBytes: size });
  });

  it('never writes the query of the address', async () => {
    await a.load({});
    const [entry] = await a.call<StoredEntry[]>({ type: 'list', folder });
    expect(entry).to.deep.include({
      url: 'https://example.test/model/model.safetensors',
      isComplete: true,
      storedBytes: size,
    });
  });

  it('fetches a new version when the ETag changed', async () => {
    await a.load({});
    const changed = await a.load({ etag: '"2"', seed: 99 });
    expect(changed).to.deep.include({ outcome: 'equal', networkBytes: size, cachedBytes: 0 });
    const again = await a.load({ etag: '"2"', seed: 99 });
    expect(again).to.deep.include({ outcome: 'equal', networkBytes: 1 });
  });

  it('resumes a cancelled load', async () => {
    // 300,000 bytes are more than the file's first request asks for, so the cancel falls into the download itself.
    const big = 1_000_000;
    const cancelled = await a.load({ size: big, stopAfterBytes: 600_000, then: 'abort' });
    expect(cancelled.outcome).to.equal('AbortError');
    const resumed = await b.load({ size: big });
    expect(resumed.outcome).to.equal('equal');
    expect(resumed.networkBytes).to.be.lessThan(big - 600_000 + 3 * blockBytes);
  });

  it('resumes after the worker was killed in the middle', async () => {
    const big = 1_000_000;
    const hanging = a.hanging();
    void a.load({ size: big, stopAfterBytes: 600_000, then: 'hang' });
    await hanging;
    a.kill();
    // The browser frees the dead worker's locks and handles in its own time.
    let resumed = await b.load({ size: big });
    for (let i = 0; i < 50 && resumed.cachedBytes === 0; i++) {
      expect(resumed.outcome).to.equal('equal');
      await new Promise((resolve) => setTimeout(resolve, 100));
      resumed = await b.load({ size: big });
    }
    expect(resumed.outcome).to.equal('equal');
    expect(resumed.cachedBytes).to.be.greaterThan(500_000);
  });

  it('reads parts, and fetches only the blocks that it touches', async () => {
    await a.load({ size: 1_000_000, start: 500_000, end: 500_010 });
    const next = await a.load({ size: 1_000_000, start: 500_000, end: 500_020 });
    expect(next).to.deep.include({ outcome: 'equal', networkBytes: 1 });
  });

  it('notices a damaged block, fetches it again and puts it right', async () => {
    await a.load({});
    await a.call({ type: 'damage', folder, url: '', at: 10 * blockBytes + 7 });
    const healed = await b.load({});
    expect(healed).to.deep.include({ outcome: 'equal', networkBytes: 1 + blockBytes });
    expect(healed.notes.join()).to.match(/damaged/);
    const after = await a.load({});
    expect(after).to.deep.include({ outcome: 'equal', networkBytes: 1, notes: [] });
  });

  it('two writers of one file: the second loads from the network, and nothing is corrupted', async () => {
    const hanging = a.hanging();
    const first = a.load({ size: 1_000_000, stopAfterBytes: 600_000, then: 'hang' });
    void first;
    await hanging;
    const second = await b.load({ size: 1_000_000 });
    expect(second.outcome).to.equal('equal');
    expect(second.notes.join()).to.match(/Another tab/);
    const races = await Promise.all([b.load({ name: 'other' }), b.load({ name: 'other' }), b.load({ name: 'other' })]);
    for (const race of races) expect(race.outcome).to.equal('equal');
    expect(await b.load({ name: 'other' })).to.deep.include({ outcome: 'equal', networkBytes: 1 });
  });

  it('several readers share a complete file', async () => {
    await a.load({});
    const first = await a.load({ keepOpen: true });
    const second = await b.load({});
    expect(first.networkBytes).to.equal(1);
    expect(second.networkBytes).to.equal(1);
    await a.call({ type: 'release' });
  });

  it('a damaged block is fetched again by a reader among others, and put right by one who is alone', async () => {
    await a.load({});
    await a.call({ type: 'damage', folder, url: '', at: 3 * blockBytes });
    // Reads nothing of the damaged block, and goes on reading the file.
    await a.load({ start: 0, end: 10, keepOpen: true });
    const among = await b.load({});
    expect(among).to.deep.include({ outcome: 'equal', networkBytes: 1 + blockBytes });
    await a.call({ type: 'release' });
    expect(await b.load({})).to.deep.include({ outcome: 'equal', networkBytes: 1 + blockBytes });
    expect(await b.load({})).to.deep.include({ outcome: 'equal', networkBytes: 1, notes: [] });
  });

  it('checks a block once for readers of its parts, and each of them gets what is stored', async () => {
    await a.load({});
    const parts = await a.load({ parts: 40 });
    expect(parts).to.deep.include({ outcome: 'equal', networkBytes: 1, cachedBytes: size });
  });

  it('removes what was not used for longest when the limit is reached', async () => {
    const maximumBytes = 2.5 * size;
    await a.load({ name: 'one', maximumBytes });
    await a.load({ name: 'two', maximumBytes });
    await a.load({ name: 'one', maximumBytes }); // used again: now 'two' is the oldest
    const third = await a.load({ name: 'three', maximumBytes });
    expect(third.outcome).to.equal('equal');
    const names = (await a.call<StoredEntry[]>({ type: 'list', folder })).map(({ url }) => url.split('/').pop()).sort();
    expect(names).to.deep.equal(['one', 'three']);
    expect(third.notes.join()).to.match(/make room/);
  });

  it('goes on without storing when nothing can be removed, and says so', async () => {
    const maximumBytes = 1.5 * size;
    await a.load({ name: 'in-use', maximumBytes, keepOpen: true });
    const second = await b.load({ name: 'second', maximumBytes });
    expect(second.outcome).to.equal('equal');
    expect(second.notes.join()).to.match(/not kept/);
    await a.call({ type: 'release' });
    // What was kept of it counts all the same.
    const resumed = await b.load({ name: 'second' });
    expect(resumed.outcome).to.equal('equal');
    expect(resumed.cachedBytes).to.be.greaterThan(0);
  });

  it('serves a complete file without a connection, and says so', async () => {
    await a.load({});
    const offline = await b.load({ offline: true });
    expect(offline).to.deep.include({ outcome: 'equal', networkBytes: 0 });
    expect(offline.notes.join()).to.match(/could not be reached/);
    await a.load({ name: 'partial', start: 0, end: 10, size: 1_000_000 });
    expect((await b.load({ name: 'partial', size: 1_000_000, offline: true })).outcome).to.equal('network');
  });

  it('removes everything on demand', async () => {
    await a.load({});
    expect(await b.call<number>({ type: 'remove', folder })).to.equal(size);
    expect(await b.call<StoredEntry[]>({ type: 'list', folder })).to.deep.equal([]);
  });
});
