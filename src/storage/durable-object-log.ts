/** The transparency log's sequencer: one SQLite Durable Object. */
import { DurableObject } from 'cloudflare:workers';

export class TransparencyLog extends DurableObject<Env> {}
