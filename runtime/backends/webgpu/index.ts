export { createWebGpuBackend, type WebGpuBackend, type WebGpuBackendOptions } from './device.ts';
