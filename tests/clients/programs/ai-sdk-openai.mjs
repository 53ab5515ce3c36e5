// The Vercel AI SDK with its provider for OpenAI: responses.
import { createOpenAI } from "@ai-sdk/openai";
import { check } from "./shared/ai-sdk.mjs";

await check(createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused" })("auto"));
