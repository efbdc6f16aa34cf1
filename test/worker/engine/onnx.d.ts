/** A model file as a `data:` address, and settings by name: both put there by Vite. */
declare module '*.onnx?url&inline' {
  const address: string;
  export default address;
}
interface ImportMeta {
  readonly env: { readonly VITE_SOAK_CYCLES?: string };
}
