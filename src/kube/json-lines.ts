/**
 * The values of a stream of JSON lines, which is what a watch answers with. The chunks may be cut anywhere; the stream
 * must have been told its encoding, so that no character comes in two halves.
 * @throws SyntaxError when a line is no JSON, or when the stream ends inside a line.
 */
export async function* jsonLines(chunks: AsyncIterable<string>): AsyncGenerator<unknown, void> {
  let parts: string[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      parts.push(chunk.slice(start, end));
      const line = parts.join("");
      parts = [];
      start = end + 1;
      if (line.trim() !== "") yield JSON.parse(line);
    }
    if (start < chunk.length) parts.push(chunk.slice(start));
  }
  const rest = parts.join("");
  if (rest.trim() !== "") throw new SyntaxError(`the stream ended inside a line of ${rest.length} characters`);
}
