/** Stands for zod's locales in the worker's bundle (`wrangler.toml`). */
export {};
