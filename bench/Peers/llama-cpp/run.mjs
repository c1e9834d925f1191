// Measures llama.cpp on one GGUF file, or lets it continue a prompt.
//
//   node run.mjs measure  --model FILE --workload FILE [--threads 2] [--flash-attention auto|on|off] [--batch-size 512]
//   node run.mjs evaluate --model FILE --tokens 1,403,407 [--count 96]
//
// A workload is JSON: { "prompts": [[ids], ...], "long_prompt": [ids], "new_tokens": n }. Prints one JSON object a line.
// The definitions of the measures are those of bench/README.md.
import {readFile} from "node:fs/promises";
import {parseArgs} from "node:util";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const {positionals: [mode], values: options} = parseArgs({
    allowPositionals: true,
    options: {
        model: {type: "string"},
        workload: {type: "string"},
        tokens: {type: "string"},
        count: {type: "string", default: "96"},
        threads: {type: "string", default: "2"},
        "flash-attention": {type: "string", default: "auto"},
        "batch-size": {type: "string", default: "512"}
    }
});

const print = (object) => console.log(JSON.stringify(object));
const perSecond = (tokens, milliseconds) => tokens / milliseconds * 1000;

async function load(sequences, contextSize) {
    const threads = Number(options.threads);
    const llama = await getLlama({gpu: false, build: "never", skipDownload: true, maxThreads: threads, logLevel: LlamaLogLevel.error});
    const model = await llama.loadModel({modelPath: options.model});
    const context = await model.createContext({
        sequences,
        contextSize,
        batchSize: Number(options["batch-size"]),
        threads: {ideal: threads, min: threads},
        flashAttention: {auto: "auto", on: true, off: false}[options["flash-attention"]]
    });
    return {llama, model, sequences: Array.from({length: sequences}, () => context.getSequence())};
}

// Yields the instant at which each greedy token arrived.
async function* arrivals(sequence, prompt) {
    for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true}))
        yield {token, at: performance.now()};
}

async function measureAlone(sequence, prompt, newTokens) {
    await sequence.clearHistory();
    const stamps = [];
    const start = performance.now();
    for await (const {at} of arrivals(sequence, prompt)) {
        if (stamps.push(at) === newTokens)
            break;
    }
    return {
        prefill: perSecond(prompt.length, stamps[0] - start),
        decode: newTokens > 1 ? perSecond(newTokens - 1, stamps.at(-1) - stamps[0]) : undefined
    };
}

// All sequences run freely; the clock runs from the last first token until enough more tokens have come.
async function measureTogether(sequences, prompts, newTokens) {
    for (const sequence of sequences)
        await sequence.clearHistory();
    const wanted = sequences.length * (newTokens - 1);
    let decoding = 0, counted = 0, start, end;
    await Promise.all(sequences.map(async (sequence, i) => {
        let first = true;
        for await (const {at} of arrivals(sequence, prompts[i])) {
            if (first) {
                first = false;
                decoding++;
                if (decoding === sequences.length)
                    start = at;
            } else if (decoding === sequences.length && ++counted === wanted)
                end = at;
            if (end != null)
                break;
        }
    }));
    return perSecond(wanted, end - start);
}

// The next token of every sequence in one batch, step by step: the library's own batching mostly leaves one sequence out.
async function measureLockstep(sequences, prompts, newTokens) {
    const step = async (inputs) => Promise.all(inputs.map(async (tokens, i) => {
        const last = [tokens.at(-1), {generateNext: {token: true, options: {temperature: 0}}}];
        const output = await sequences[i].controlledEvaluate([...tokens.slice(0, -1), last]);
        return [output.at(-1).next.token];
    }));
    for (const sequence of sequences)
        await sequence.clearHistory();
    let next = await step(prompts);
    const start = performance.now();
    for (let i = 1; i < newTokens; i++)
        next = await step(next);
    return perSecond(sequences.length * (newTokens - 1), performance.now() - start);
}

async function measure() {
    const workload = JSON.parse(await readFile(options.workload, "utf8"));
    const longest = Math.max(workload.long_prompt.length, ...workload.prompts.map((prompt) => prompt.length));
    const {sequences} = await load(workload.prompts.length, longest + 4 * workload.new_tokens);
    const [alone] = sequences;
    await measureAlone(alone, workload.prompts[0], 8);
    const {prefill, decode} = await measureAlone(alone, workload.prompts[0], workload.new_tokens);
    const long = await measureAlone(alone, workload.long_prompt, 1);
    print({
        prefill_tokens_per_second: prefill,
        long_prefill_tokens_per_second: long.prefill,
        decode_tokens_per_second: decode,
        together_tokens_per_second: await measureTogether(sequences, workload.prompts, workload.new_tokens),
        lockstep_tokens_per_second: await measureLockstep(sequences, workload.prompts, workload.new_tokens)
    });
}

async function evaluate() {
    const prompt = options.tokens.split(",").map(Number);
    const count = Number(options.count);
    const {model, sequences: [sequence]} = await load(1, prompt.length + count + 1);
    const tokens = [];
    for await (const {token} of arrivals(sequence, prompt)) {
        if (tokens.push(token) === count)
            break;
    }
    print({token_ids: tokens, text: model.detokenize(tokens, false, prompt)});
}

switch (mode) {
    case "measure": await measure(); break;
    case "evaluate": await evaluate(); break;
    default: throw new Error(`The first argument is "measure" or "evaluate", not "${mode}".`);
}
process.exit(0);
