// Type arguments that name the width of a weight's codes: generic kernels ask `offsetof<Codes>()`, which is its bits and is
// known when they are compiled, so that each width gets code of its own.

@unmanaged
export class Codes2 {
  bits: u16;
}

@unmanaged
export class Codes3 {
  bits: u16;
  more: u8;
}

@unmanaged
export class Codes4 {
  bits: u32;
}

@unmanaged
export class Codes5 {
  bits: u32;
  more: u8;
}

@unmanaged
export class Codes6 {
  bits: u32;
  more: u16;
}

@unmanaged
export class Codes8 {
  bits: u64;
}
