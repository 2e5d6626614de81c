import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planModel, type PlanWishes } from '../../runtime/planning/plan.ts';
import { GPU, NO_GPU, SOFTWARE_GPU, PLAIN_PAGE, NO_WASM, LARGE, request, type Case } from './plan-case.ts';
import { TINY_DECODER } from '../support/tiny-decoder.ts';

const plan = (given: Case) => planModel(request(given));
const reasonsOf = (given: Case, topic: string) =>
  plan(given)
    .reasons.filter((reason) => reason.topic === topic)
    .map(({ reason }) => reason)
    .join(' ');

describe('backend', () => {
  const table: [string, Case, 'webgpu' | 'wasm', RegExp][] = [
    ['a GPU', {}, 'webgpu', /runs on Acme One/],
    ['no GPU', { capabilities: { webgpu: NO_GPU } }, 'wasm', /has no WebGPU/],
    ['a software GPU', { capabilities: { webgpu: SOFTWARE_GPU } }, 'wasm', /emulated on the CPU.*SwiftShader/],
    ['a software GPU alone', { capabilities: { webgpu: SOFTWARE_GPU, wasm: NO_WASM } }, 'webgpu', /nothing faster/],
    [
      'a software GPU by name',
      { capabilities: { webgpu: SOFTWARE_GPU }, wishes: { backend: 'webgpu' } },
      'webgpu',
      /asked for/,
    ],
    ['WASM by name', { wishes: { backend: 'wasm' } }, 'wasm', /asked for/],
  ];
  for (const [name, given, backend, reason] of table) {
    test(`${name}: ${backend}`, () => {
      assert.equal(plan(given).backend, backend);
      assert.match(reasonsOf(given, 'backend'), reason);
    });
  }

  test('what is asked for by name and missing is an error that says why', () => {
    assert.throws(() => plan({ capabilities: { webgpu: NO_GPU }, wishes: { backend: 'webgpu' } }), {
      code: 'backend-unavailable',
      message: /This browser has no WebGPU/,
    });
    assert.throws(() => plan({ capabilities: { wasm: NO_WASM }, wishes: { backend: 'wasm' } }), {
      code: 'backend-unavailable',
      message: /forbids WebAssembly/,
    });
    assert.throws(() => plan({ capabilities: { webgpu: NO_GPU, wasm: NO_WASM } }), { code: 'backend-unavailable' });
  });

  test('auto moves to WASM when a matrix exceeds the GPU’s buffers, and says so', () => {
    const given = { options: LARGE, capabilities: { webgpu: { ...GPU, maxStorageBindingBytes: 2 ** 20 } } };
    assert.equal(plan(given).backend, 'wasm');
    assert.match(reasonsOf(given, 'backend'), /weight embed needs 8.2 MB on webgpu.*one buffer/);
  });
});

describe('threads', () => {
  const wasm = { webgpu: NO_GPU };
  const table: [string, Case, number, RegExp][] = [
    ['a plain page', { capabilities: wasm }, 1, /not cross-origin isolated/],
    ['an isolated page', { capabilities: { ...wasm, crossOriginIsolated: true } }, 8, /All 8 cores/],
    [
      'three wished, isolated',
      { capabilities: { ...wasm, crossOriginIsolated: true }, wishes: { threads: 3 } },
      3,
      /3 threads were asked/,
    ],
    [
      'three wished, plain',
      { capabilities: wasm, wishes: { threads: 3 } },
      1,
      /not cross-origin isolated.*3 were asked for/,
    ],
    ['a GPU', { capabilities: { crossOriginIsolated: true } }, 1, /^$/],
  ];
  for (const [name, given, threads, reason] of table) {
    test(`${name}: ${threads}`, () => {
      assert.equal(plan(given).threads, threads);
      assert.match(reasonsOf(given, 'threads'), reason);
    });
  }
});

describe('precision', () => {
  const formatsOf = (given: Case) => {
    const { formats } = plan(given);
    return (name: string) => formats.get(name)?.name;
  };
  const QKV = 'layers.0.q+layers.0.k+layers.0.v';

  test('by name: all matrices, while norms and biases stay f32', () => {
    const biased = { ...TINY_DECODER, hasBias: true, isTied: false };
    for (const [precision, format, bits] of [
      ['2bit', 'q2g32', 2.5],
      ['3bit', 'q3g32', 3.5],
      ['4bit', 'q4g32', 4.5],
      ['8bit', 'q8g32', 8.5],
      ['f16', 'f16', 16],
    ] as const) {
      const given = { options: biased, wishes: { precision } };
      const format_ = formatsOf(given);
      for (const name of ['embed', 'head', QKV, 'layers.1.o', 'layers.1.gate+layers.1.up', 'layers.1.down']) {
        assert.equal(format_(name), format, name);
      }
      assert.equal(format_('layers.0.norm1'), 'f32');
      assert.equal(format_('layers.0.q.bias+layers.0.k.bias+layers.0.v.bias'), 'f32');
      assert.equal(plan(given).precision, precision);
      assert.equal(plan(given).bitsPerWeight, bits);
    }
  });

  test('2 and 3 bits take two-level scales where rows are multiples of 256', () => {
    const wide = { ...TINY_DECODER, columns: 256, width: 512, headDim: 64 };
    for (const [precision, format, share] of [
      ['2bit', 'q2k', 0.165],
      ['3bit', 'q3k', 0.22],
      ['4bit', 'q4g32', 0.282],
      ['8bit', 'q8g32', 0.532],
    ] as const) {
      const given = { options: wide, wishes: { precision } };
      assert.equal(formatsOf(given)(QKV), format);
      assert.ok(plan(given).bitsPerWeight / 16 <= share);
    }
    const narrow = { options: { ...wide, width: 96 }, wishes: { precision: '2bit' } as const };
    assert.equal(formatsOf(narrow)('layers.0.down'), 'q2g32');
    assert.match(reasonsOf(narrow, 'precision'), /2 matrices take q2g32: q2k needs rows of a multiple of 256/);
  });

  test('every weight of the graph has a format', () => {
    const { graph, ...rest } = request({ options: { ...TINY_DECODER, hasBias: true, hasQueryKeyNorm: true } });
    assert.deepEqual(
      [...planModel({ graph, ...rest }).formats.keys()],
      graph.weights.map(({ name }) => name),
    );
  });

  test('auto: 8 bits for a small model, 4 for a large one', () => {
    assert.equal(plan({}).precision, '8bit');
    assert.match(reasonsOf({}, 'precision'), /8 bits a weight: the model is small/);
    const large = { options: { ...LARGE, layers: 24 } };
    assert.equal(plan(large).precision, '4bit');
    assert.match(reasonsOf(large, 'precision'), /4 bits a weight: the matrices take .* at 8 bits/);
  });

  test('matrices that do not fit a group stay f16, and the reason counts them', () => {
    const given = { options: { ...TINY_DECODER, width: 86 }, wishes: { precision: '4bit' } as const };
    const format = formatsOf(given);
    assert.equal(format('layers.0.down'), 'f16');
    assert.equal(format('layers.0.gate+layers.0.up'), 'q4g32');
    assert.match(
      reasonsOf(given, 'precision'),
      /2 matrices keep more bits: .*multiple of 32 weights; this matrix has 86/,
    );
  });

  test('what the file stores quantised stays so in auto', () => {
    const given: Case = {
      stored: (weight) => (weight.includes('norm') ? 'f32' : weight === 'embed' ? 'q8g32' : 'q4g32'),
    };
    const format = formatsOf(given);
    assert.deepEqual(['embed', QKV, 'layers.0.down', 'norm'].map(format), ['q8g32', 'q4g32', 'q4g32', 'f32']);
    assert.equal(plan(given).precision, '4bit');
    assert.match(reasonsOf(given, 'precision'), /keep the bits that the file stores/);
  });

  test('more bits than the file stores are not made up; fewer are, and both are said', () => {
    const four: Case = { stored: () => 'q4g32', wishes: { precision: 'f16' } };
    assert.equal(formatsOf(four)(QKV), 'q4g32');
    assert.equal(plan(four).precision, '4bit');
    assert.match(reasonsOf(four, 'precision'), /9 matrices stay in q4g32, as the file stores them/);
    const eight: Case = { stored: () => 'q8g32', wishes: { precision: '4bit' } };
    assert.equal(formatsOf(eight)(QKV), 'q4g32');
    assert.match(reasonsOf(eight, 'precision'), /9 matrices are quantised again, from q8g32 to q4g32/);
  });
});

describe('context', () => {
  const table: [string, Case, number, RegExp][] = [
    ['default', { maxContextLength: 32768 }, 4096, /4,096 tokens unless asked otherwise; the model allows 32,768/],
    ['a short model', { maxContextLength: 600 }, 600, /600 tokens/],
    ['a wish', { maxContextLength: 32768, wishes: { contextLength: 10000 } }, 10000, /were asked for/],
  ];
  for (const [name, given, length, reason] of table) {
    test(`${name}: ${length}`, () => {
      assert.equal(plan(given).contextLength, length);
      assert.match(reasonsOf(given, 'context'), reason);
    });
  }

  test('prefill chunks are no longer than the context', () => {
    assert.equal(plan({}).maxTokens, 512);
    assert.equal(plan({ wishes: { contextLength: 100 } }).maxTokens, 100);
    assert.equal(plan({ wishes: { backend: 'wasm' } }).maxTokens, 128);
  });

  test('rows of logits fit two megabytes, and are at least one', () => {
    assert.equal(plan({ options: LARGE }).maxOutputs, 16);
    assert.equal(plan({}).maxOutputs, 512);
    assert.equal(plan({ options: { ...TINY_DECODER, vocabulary: 1_000_000 } }).maxOutputs, 1);
  });
});

describe('wishes out of range', () => {
  const table: [string, PlanWishes][] = [
    ['contextLength', { contextLength: 9000 }],
    ['contextLength', { contextLength: 0 }],
    ['contextLength', { contextLength: 1.5 }],
    ['threads', { threads: 0 }],
    ['threads', { threads: 2.5 }],
    ['memoryLimitBytes', { memoryLimitBytes: 0 }],
    ['memoryLimitBytes', { memoryLimitBytes: Number.NaN }],
  ];
  for (const [name, wishes] of table) {
    test(JSON.stringify(wishes), () => {
      assert.throws(() => plan({ wishes }), { code: 'invalid-argument', message: new RegExp(name) });
    });
  }
});

describe('memory', () => {
  test('the total is the sum, counted by hand', () => {
    const { memory } = plan({ wishes: { precision: 'f16', contextLength: 100 } });
    const layer = 128 * 64 + 64 * 64 + 192 * 64 + 64 * 96;
    assert.equal(memory.weights, 2 * (50 * 64 + 2 * layer) + 4 * 5 * 64);
    assert.equal(memory.keyValueCache, 2 * 2 * 2 * 16 * 2 * 100);
    assert.equal(memory.total, memory.weights + memory.keyValueCache + memory.activations);
  });

  test('auto gives up chunk, precision and context, in this order, and says what', () => {
    const seen = new Set<string>();
    let last = Infinity;
    const full = plan({ options: LARGE }).memory.total;
    for (let limit = full; limit > 0.45 * full; limit -= full / 60) {
      const given = { options: LARGE, wishes: { memoryLimitBytes: limit, backend: 'webgpu' as const } };
      const { precision, contextLength, maxTokens, memory } = plan(given);
      assert.ok(memory.total <= limit);
      assert.ok(memory.total <= last);
      last = memory.total;
      seen.add(`${precision} ${contextLength}`);
      if (contextLength < 4096) assert.match(reasonsOf(given, 'context'), /to fit the memory/);
      if (maxTokens < 512) assert.match(reasonsOf(given, 'prefill'), /to save memory/);
    }
    assert.deepEqual([...seen].slice(0, 3), ['8bit 4096', '4bit 4096', '4bit 2048']);
  });

  test('too large: the error has the figures and says what would fit', () => {
    const wishes = { precision: 'f16', contextLength: 8192, memoryLimitBytes: 150e6 } as const;
    assert.throws(
      () => plan({ options: LARGE, wishes }),
      (error: Error & Record<string, unknown>) => {
        assert.equal(error['code'], 'out-of-memory');
        assert.match(
          error.message,
          /The model needs \d+ MB on webgpu, and the limit is 150 MB \(memoryLimitBytes\): weights 187 MB at f16/,
        );
        assert.match(String(error['hint']), /precision "8bit" \(1[1-4]\d MB\)/);
        return true;
      },
    );
  });

  test('a remedy that is named does fit', () => {
    const wishes = { precision: '4bit', contextLength: 8192, memoryLimitBytes: 75e6 } as const;
    let hint = '';
    assert.throws(
      () => plan({ options: LARGE, wishes }),
      (error: Error & { hint: string }) => {
        hint = error.hint;
        return true;
      },
    );
    const contextLength = Number(/contextLength of ([\d,]+)/.exec(hint)?.[1]?.replace(',', ''));
    assert.ok(contextLength < 8192, hint);
    assert.ok(plan({ options: LARGE, wishes: { ...wishes, contextLength } }).memory.total <= 75e6);
  });

  test('auto shortens the context before it goes below 4 bits, and goes to 2 before it gives up', () => {
    /** Room for 512 tokens, read in short chunks. */
    const least = (precision: '4bit' | '2bit'): number => {
      const { weights, keyValueCache, activations } = plan({
        options: LARGE,
        wishes: { precision, contextLength: 512 },
      }).memory;
      return weights + keyValueCache + activations / 4;
    };
    const fit = (memoryLimitBytes: number) => plan({ options: LARGE, wishes: { memoryLimitBytes } });
    const shorter = fit(least('4bit'));
    assert.equal(shorter.precision, '4bit');
    assert.ok(shorter.contextLength < 4096);
    assert.equal(fit(least('4bit') - 5e6).precision, '3bit');
    const lowest = fit(least('2bit'));
    assert.equal(lowest.precision, '2bit');
    // With a shorter context attention keeps three: that goes before two everywhere.
    assert.ok(lowest.reasons.some(({ reason }) => /2 bits a weight \(attention 3\), because/.test(reason)));
    const smallest = { precision: '2bit', contextLength: 512, memoryLimitBytes: 38e6 } as const;
    const bare = fit(plan({ options: LARGE, wishes: smallest }).memory.total);
    assert.ok(bare.reasons.some(({ reason }) => /2 bits a weight, because/.test(reason)));
  });

  test('nothing would fit: choose a smaller model', () => {
    assert.throws(() => plan({ options: LARGE, wishes: { memoryLimitBytes: 1e6 } }), {
      code: 'out-of-memory',
      hint: 'Choose a smaller model.',
    });
  });

  test('WASM ends at 4 GiB, a small phone earlier, a capped figure says nothing', () => {
    const huge = { ...LARGE, layers: 24, columns: 8192, width: 32768 };
    const wasm = { webgpu: NO_GPU };
    assert.throws(() => plan({ options: huge, capabilities: wasm }), {
      code: 'out-of-memory',
      message: /linear memory/,
    });
    assert.equal(plan({ options: huge }).backend, 'webgpu');
    const phone = { deviceMemoryBytes: 2 ** 26, browser: { ...PLAIN_PAGE.browser, mobile: true } };
    assert.throws(() => plan({ options: LARGE, capabilities: phone }), {
      code: 'out-of-memory',
      message: /limit is 34 MB \(50% of this device’s 67 MB\)/,
    });
  });

  test('by name, a matrix too large for the GPU is an error that names it and the way out', () => {
    const capabilities = { webgpu: { ...GPU, maxStorageBindingBytes: 40e6 } };
    const wishes = { precision: 'f16', backend: 'webgpu' } as const;
    assert.throws(
      () => plan({ options: LARGE, capabilities, wishes }),
      (error: Error & { hint: string }) => {
        assert.match(
          error.message,
          /The weight embed needs 66 MB on webgpu, and the limit is 40 MB \(one buffer of this GPU\)/,
        );
        assert.match(error.hint, /precision "8bit" .*; backend "wasm"/);
        return true;
      },
    );
  });
});
