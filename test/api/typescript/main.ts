import { useClient } from './use-client.ts';

const [baseUrl = '', adminKey = ''] = process.argv.slice(2);
console.log(`typescript: ${await useClient(baseUrl, adminKey)} operations`);
