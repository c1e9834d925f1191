// Streams one generation from a server and prints what came as one JSON object:
//
//   node stream.mjs localhost:50051 '{"text": "Once upon a time", "stopping": {"max_tokens": 16}, "sampling": {"temperature": 0}}'
//
// The second argument is a llamaserve.v1.GenerateRequest in JSON. The object has `messages` (their number), `prompt`,
// `token_ids`, `text`, `finish_reason`, `usage` and `timings`; or, with exit code 2, the failed call's `status` and `message`.
import {fileURLToPath} from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const protos = fileURLToPath(new URL("../../../server/protos", import.meta.url));
const definition = protoLoader.loadSync("llamaserve/v1/generation.proto", {
    includeDirs: [protos],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: false
});
const {Generation} = grpc.loadPackageDefinition(definition).llamaserve.v1;

const [address, request] = process.argv.slice(2);
const client = new Generation(address, grpc.credentials.createInsecure());
const result = {messages: 0, token_ids: [], text: ""};
try {
    for await (const message of client.Generate(JSON.parse(request))) {
        result.messages++;
        result.prompt ??= message.prompt;
        for (const delta of message.deltas ?? []) {
            result.token_ids.push(...delta.token_ids ?? []);
            result.text += delta.text ?? "";
            result.finish_reason ??= delta.finish?.reason;
        }
        result.usage ??= message.usage;
        result.timings ??= message.timings;
    }
    console.log(JSON.stringify(result));
} catch (error) {
    console.log(JSON.stringify({status: grpc.status[error.code] ?? "UNKNOWN", message: error.details ?? String(error)}));
    process.exitCode = 2;
} finally {
    client.close();
}
