// What the Vercel AI SDK does with a model of any provider.
import assert from "node:assert/strict";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

export async function check(model) {
  const prompt = "Say hello.";
  let text = "";
  for await (const piece of streamText({ model, prompt, onError: ({ error }) => { throw error; } }).textStream) {
    text += piece;
  }
  assert.equal(text, "Hello world");

  const asked = [];
  const weather = tool({
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      asked.push(city);
      return "12 °C";
    },
  });
  const answer = await generateText({ model, prompt, tools: { weather }, stopWhen: stepCountIs(2) });
  assert.deepEqual(asked, ["Köln"]);
  assert.equal(answer.text, "Hello world");
}
