"""Times what LlamaServe's kernels are compared with, on the same GPU: cuBLAS through PyTorch, PyTorch's attention, transformers.

    peers.py CASES.json SECONDS.json

CASES.json: [{"id": ..., "kind": a function below, "arguments": {...}}]. SECONDS.json: {id: median seconds of one call, or
a text that says why there are none}, written anew after each case, so that it can be read when the script is stopped.
Inputs are random and rotate through more memory than the L2 cache holds; calls run from a CUDA graph where that is possible.
"""
import gc
import json
import os
import sys
import time

try:
    import torch
    import torch.nn.functional as functional
except ImportError as error:
    sys.exit(f"THERE IS NO PEER TO COMPARE WITH: {error}")
if not torch.cuda.is_available():
    sys.exit("THERE IS NO PEER TO COMPARE WITH: PyTorch sees no GPU")

REPLAY_SECONDS, REPLAYS, MOST_CALLS = 3e-3, 7, 1024


def events(run):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e-3


def median_seconds(call, variants):
    """Of call(i); i chooses the inputs, and all variants are used equally often."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for i in range(variants):
            call(i)
        stream.synchronize()
        estimate = events(lambda: [call(i) for i in range(variants)]) / variants
        calls = variants * int(max(1, min(REPLAY_SECONDS / (estimate * variants), MOST_CALLS // variants)))
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                for i in range(calls):
                    call(i % variants)
            run = graph.replay
        except RuntimeError:
            torch.cuda.synchronize()
            run = lambda: [call(i % variants) for i in range(calls)]
        run()
        times = sorted(events(run) / calls for _ in range(REPLAYS))
    return times[len(times) // 2]


def copies(size):
    return max(1, min(256, 4 * torch.cuda.get_device_properties(0).L2_cache_size // max(1, size) + 1))


def normal(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def matmul_bf16(m, n, k):
    x, weights = normal(m, k), [normal(n, k) for _ in range(copies(2 * n * k))]
    return median_seconds(lambda i: x @ weights[i].T, len(weights))


def int_mm(m, n, k):
    # _int_mm takes more than 16 rows.
    integers = lambda *shape: torch.randint(-127, 128, shape, device="cuda", dtype=torch.int8)
    x, weights = integers(max(m, 17), k), [integers(n, k) for _ in range(copies(n * k))]
    return median_seconds(lambda i: torch._int_mm(x, weights[i].T), len(weights))


def scaled_mm(m, n, k):
    x = normal(m, k).to(torch.float8_e4m3fn)
    weights = [normal(n, k).to(torch.float8_e4m3fn) for _ in range(copies(n * k))]
    row, column = torch.ones(m, 1, device="cuda"), torch.ones(1, n, device="cuda")
    return median_seconds(
        lambda i: torch._scaled_mm(x, weights[i].T, scale_a=row, scale_b=column, out_dtype=torch.bfloat16, use_fast_accum=True),
        len(weights))


def attention_prefill(tokens, heads, kv_heads, head_dim):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k, v = normal(1, heads, tokens, head_dim), normal(1, kv_heads, tokens, head_dim), normal(1, kv_heads, tokens, head_dim)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return median_seconds(lambda i: functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True), 1)


def attention_decode(sequences, context, heads, kv_heads, head_dim):
    q = normal(sequences, heads, 1, head_dim)
    count = copies(4 * sequences * context * kv_heads * head_dim)
    k = [normal(sequences, kv_heads, context, head_dim) for _ in range(count)]
    v = [normal(sequences, kv_heads, context, head_dim) for _ in range(count)]
    return median_seconds(lambda i: functional.scaled_dot_product_attention(q, k[i], v[i], enable_gqa=True), count)


def transformers_decode(hidden, layers, heads, kv_heads, head_dim, feed_forward, vocabulary, sequences, tokens):
    """Seconds of a new token: of a step, for each of the sequences."""
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
        intermediate_size=feed_forward, vocab_size=vocabulary, max_position_embeddings=8192, eos_token_id=None, pad_token_id=0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config).eval()
    prompt = torch.randint(0, vocabulary, (sequences, tokens), device="cuda")
    seconds = {}
    with torch.inference_mode():
        for count in (8, 8, 72):
            torch.cuda.synchronize()
            start = time.perf_counter()
            model.generate(prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False)
            torch.cuda.synchronize()
            seconds[count] = time.perf_counter() - start
    # Prompt and start fall out of the difference.
    return (seconds[72] - seconds[8]) / 64 / sequences


def main(cases_path, seconds_path):
    with open(cases_path) as file:
        cases = json.load(file)
    print(f"peers: PyTorch {torch.__version__} on {torch.cuda.get_device_name(0)}, {len(cases)} cases", flush=True)
    results = {}
    for case in cases:
        try:
            results[case["id"]] = globals()[case["kind"]](**case["arguments"])
        except Exception as error:  # one peer's trouble must not cost the others
            does_not_fit = isinstance(error, torch.cuda.OutOfMemoryError)
            results[case["id"]] = "does not fit" if does_not_fit else f"failed: {type(error).__name__}"
            print(f"peer {case['id']} FAILED: {type(error).__name__}: {str(error).splitlines()[:1]}", flush=True)
        finally:
            torch.set_default_dtype(torch.float32)
            gc.collect()
            torch.cuda.empty_cache()
        with open(seconds_path + ".new", "w") as file:
            json.dump(results, file, indent=1)
        os.replace(seconds_path + ".new", seconds_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
