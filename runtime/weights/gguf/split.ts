// A model in several GGUF files: 'name-00001-of-00003.gguf'. The first holds the metadata, each holds a part of the tensors.

import type { GgufHeader } from './header.ts';
import { corruptGguf } from './refusals.ts';

const pattern = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;
/** Of one model. */
const maximumFiles = 1024;

/** The names of all files, whichever of them was named. */
export function splitNames(name: string): string[] {
  const match = pattern.exec(name);
  if (!match) return [name];
  const count = Number(match[3]);
  const number = Number(match[2]);
  if (count < 1 || count > maximumFiles || number < 1 || number > count) {
    throw corruptGguf(name, `is called number ${number} of ${count}; there may be ${maximumFiles} files`, {
      actual: count,
      allowed: maximumFiles,
    });
  }
  return Array.from(
    { length: count },
    (_, i) => `${match[1]}-${String(i + 1).padStart(5, '0')}-of-${match[3]}${match[4]}`,
  );
}

/** Holds what each file says of its place against its name, and the tensors against each other. */
export function verifySplit(names: readonly string[], headers: readonly GgufHeader[]): void {
  const seen = new Map<string, string>();
  headers.forEach(({ metadata, tensors }, i) => {
    const file = names[i]!;
    const count = metadata.get('split.count') ?? (names.length > 1 ? 0 : 1);
    // A whole model may say that it is the only part, or nothing (0).
    const isRightCount = count === names.length || (names.length === 1 && count === 0);
    if (!isRightCount || (metadata.get('split.no') ?? 0) !== i) {
      throw corruptGguf(
        file,
        `says that it is part ${Number(metadata.get('split.no') ?? 0) + 1} of ${String(count)}, not ${i + 1} of ${names.length}`,
        { actual: [metadata.get('split.no'), count], expected: [i, names.length] },
      );
    }
    for (const { name } of tensors) {
      const other = seen.get(name);
      if (other !== undefined)
        throw corruptGguf(file, `has the tensor "${name}", and so has ${other}`, { tensor: name });
      seen.set(name, file);
    }
  });
  const announced = headers[0]?.metadata.get('split.tensors.count');
  if (announced !== undefined && announced !== seen.size) {
    throw corruptGguf(names[0]!, `announces ${String(announced)} tensors; its parts hold ${seen.size}`, {
      actual: seen.size,
      expected: announced,
    });
  }
}
