export default {
  fetch(): Response {
    return new Response('edgewise');
  },
} satisfies ExportedHandler;
