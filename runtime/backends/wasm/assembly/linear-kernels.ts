// The matrix products of quantised weights, by the width of the codes and the scales: Wide for groups of 32, 64 and 128 columns,
// Narrow for 16, K for GGUF's two-level scales. Minimums are optional with Wide and Narrow. `from` and `to` are blocks of four
// rows.

import { Codes2, Codes3, Codes4, Codes5, Codes6, Codes8 } from './codes';
import { linear } from './linear-integer';
import {
  NarrowScales,
  ScaleCodes4,
  ScaleCodes6,
  ScaleCodes8,
  WideScaleCodes6,
  WideScales,
} from './scales';

export function linearQ2Wide(parameters: usize, from: u32, to: u32): void {
  linear<Codes2, WideScales>(parameters, from, to);
}

export function linearQ3Wide(parameters: usize, from: u32, to: u32): void {
  linear<Codes3, WideScales>(parameters, from, to);
}

export function linearQ4Wide(parameters: usize, from: u32, to: u32): void {
  linear<Codes4, WideScales>(parameters, from, to);
}

export function linearQ5Wide(parameters: usize, from: u32, to: u32): void {
  linear<Codes5, WideScales>(parameters, from, to);
}

export function linearQ8Wide(parameters: usize, from: u32, to: u32): void {
  linear<Codes8, WideScales>(parameters, from, to);
}

export function linearQ2Narrow(parameters: usize, from: u32, to: u32): void {
  linear<Codes2, NarrowScales>(parameters, from, to);
}

export function linearQ3Narrow(parameters: usize, from: u32, to: u32): void {
  linear<Codes3, NarrowScales>(parameters, from, to);
}

export function linearQ4Narrow(parameters: usize, from: u32, to: u32): void {
  linear<Codes4, NarrowScales>(parameters, from, to);
}

export function linearQ8Narrow(parameters: usize, from: u32, to: u32): void {
  linear<Codes8, NarrowScales>(parameters, from, to);
}

export function linearQ2K(parameters: usize, from: u32, to: u32): void {
  linear<Codes2, ScaleCodes4>(parameters, from, to);
}

export function linearQ3K(parameters: usize, from: u32, to: u32): void {
  linear<Codes3, ScaleCodes6>(parameters, from, to);
}

export function linearQ4K(parameters: usize, from: u32, to: u32): void {
  linear<Codes4, WideScaleCodes6>(parameters, from, to);
}

export function linearQ5K(parameters: usize, from: u32, to: u32): void {
  linear<Codes5, WideScaleCodes6>(parameters, from, to);
}

export function linearQ6K(parameters: usize, from: u32, to: u32): void {
  linear<Codes6, ScaleCodes8>(parameters, from, to);
}
