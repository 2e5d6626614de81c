// Type arguments that name the width of a weight's codes: generic kernels ask `offsetof<Codes>()`, which is its bits and is
// known when they are compiled, so that each width gets code of its own.

@unmanaged
export class Codes4 {
  bits: u32;
}

@unmanaged
export class Codes8 {
  bits: u64;
}
