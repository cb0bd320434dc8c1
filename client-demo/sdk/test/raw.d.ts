/** Files as text, the way the bundler of the tests gives them. */
declare module '*?raw' {
  const text: string;
  export default text;
}
