/** A file as text: put there by Vite. */
declare module '*?raw' {
  const text: string;
  export default text;
}
