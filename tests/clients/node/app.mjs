// An app on one JavaScript client library. Plays the scenes that the command line names, as `URL LIBRARY SCENE=TEXT...`,
// and prints their reports as JSON; an error is part of a report, as a user's program would show it.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, streamText } from 'ai'
import { Ollama } from 'ollama'
import { createOllama } from 'ollama-ai-provider-v2'
import OpenAI from 'openai'

const [url, library, ...asked] = process.argv.slice(2)

// For each library: the whole answer, and a stream of pieces with a way to leave it.
const ollama = (base) => {
  const client = new Ollama({ host: base })
  return {
    list: async () => (await client.list()).models.map((model) => model.name),
    whole: async (messages) => (await client.chat({ model: 'm', messages })).message.content,
    stream: async (messages) => {
      const coming = await client.chat({ model: 'm', messages, stream: true })
      return [coming, (chunk) => chunk.message.content, () => coming.abort()]
    },
  }
}

// Left to itself the library would ask three times.
const openai = (base, patience = { maxRetries: 0 }) => {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'any', ...patience })
  return {
    list: async () => (await client.models.list()).data.map((model) => model.id),
    whole: async (messages) => (await client.chat.completions.create({ model: 'm', messages })).choices[0].message.content,
    stream: async (messages) => {
      const coming = await client.chat.completions.create({ model: 'm', messages, stream: true })
      return [coming, (chunk) => chunk.choices[0].delta.content ?? '', () => coming.controller.abort()]
    },
  }
}

// The SDK tells a stream's errors in its parts, and asks again by itself.
const sdk = (model) => ({
  whole: async (messages) => (await generateText({ model, messages })).text,
  stream: async (messages) => {
    const leaving = new AbortController()
    const { fullStream } = streamText({ model, messages, abortSignal: leaving.signal, onError: () => {} })
    const take = (part) => {
      if (part.type === 'error') throw part.error
      return part.type === 'text-delta' ? part.text : ''
    }
    return [fullStream, take, () => leaving.abort()]
  },
})

const libraries = {
  ollama,
  openai,
  'openai-impatient': (base) => openai(base, { timeout: 500, maxRetries: 5 }),
  'ai-sdk-ollama': (base) => sdk(createOllama({ baseURL: `${base}/api` })('m')),
  'ai-sdk-openai': (base) =>
    sdk(createOpenAICompatible({ name: 'llamaproxy', baseURL: `${base}/v1`, apiKey: 'any' })('m')),
}

const client = libraries[library](url)
const scenes = {
  list: async () => ({ names: await client.list() }),
  whole: async (messages) => ({ text: await client.whole(messages) }),
  stream: (messages) => follow(messages, Infinity),
  // Leaves as soon as there is any text.
  leave: (messages) => follow(messages, 1),
}

async function follow(messages, limit) {
  const seen = { text: '', pieces: 0 }
  try {
    const [coming, take, leave] = await client.stream(messages)
    for await (const chunk of coming) {
      const piece = take(chunk)
      seen.text += piece
      seen.pieces += piece ? 1 : 0
      if (seen.pieces === limit) {
        leave()
        break
      }
    }
  } catch (error) {
    return { ...seen, ...complaint(error) }
  }
  return seen
}

function complaint(error) {
  return { error: error.constructor.name, message: error.message, status: error.status ?? error.statusCode ?? error.status_code }
}

const reports = []
for (const each of asked) {
  const [scene, content] = each.split('=')
  reports.push(await scenes[scene]([{ role: 'user', content }]).catch(complaint))
}
console.log(JSON.stringify(reports))
