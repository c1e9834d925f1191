using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Operations;

/// <summary>
/// Attention over BF16 keys and values, and what fills the cache. The peer has its keys and values contiguous, without block tables;
/// in decoding the queries of a group are rows of one product for it, so that it reads keys and values once too.
/// </summary>
internal sealed class AttentionCases(CpuBackend backend, LlamaShape shape)
{
    private const int BlockSize = 16;
    private const string PeerName = "PyTorch BF16 scaled_dot_product_attention";

    private readonly AttentionShape _attention = new(shape.Heads, shape.KvHeads, shape.HeadSize, 1 / MathF.Sqrt(shape.HeadSize), SlidingWindow: 0);
    private readonly RopeParameters _rope = new(
        RopeStyle.HalfSplit, [.. Enumerable.Range(0, shape.HeadSize / 2).Select(i => Math.Pow(10_000, -2.0 * i / shape.HeadSize))]);

    public IEnumerable<OperationCase> All() =>
        Decode(1, 512).Concat(Decode(1, 4096)).Concat(Decode(8, 512)).Concat(Decode(32, 512)).Concat(Prefill(128)).Concat(Prefill(512))
            .Concat(RopeAndStore(1)).Concat(RopeAndStore(128)).Concat(CopyBlocks(16));

    /// <summary>One new token of each sequence.</summary>
    private IEnumerable<OperationCase> Decode(int sequences, int context)
    {
        double bytes = 2.0 * sizeof(ushort) * sequences * context * shape.KvHeads * shape.HeadSize;
        int variants = Activations.Variants(bytes);
        using KvCache cache = Filled(variants, sequences * Blocks(context));
        using Activations qkv = new(1, sequences, _attention.QkvColumns);
        ForwardBatch batch = new(sequences, sequences, Blocks(context));
        for (int s = 0; s < sequences; s++)
        {
            batch.Add([0], context - 1, Table(s * Blocks(context), context), BlockSize, logitsFrom: 1);
        }

        using TorchTensors queries = new(1, ScalarType.BFloat16, sequences, shape.KvHeads, shape.Heads / shape.KvHeads, shape.HeadSize);
        using TorchTensors keys = new(variants, ScalarType.BFloat16, sequences, shape.KvHeads, context, shape.HeadSize);
        using TorchTensors values = new(variants, ScalarType.BFloat16, sequences, shape.KvHeads, context, shape.HeadSize);
        yield return new OperationCase("PagedAttention", $"decode [{sequences} × {context}], {Heads}", variants, layer => Attend(qkv, batch, cache, layer))
        {
            Bytes = bytes,
            MultiplyAdds = 2.0 * sequences * context * shape.Heads * shape.HeadSize,
            PeerName = PeerName,
            Peer = variant => nn.functional.scaled_dot_product_attention(queries[0], keys[variant], values[variant]).Dispose(),
        };
    }

    /// <summary>A whole prompt; the peer's keys and values are repeated for each query head beforehand.</summary>
    private IEnumerable<OperationCase> Prefill(int tokens)
    {
        double bytes = 2.0 * sizeof(ushort) * tokens * shape.KvHeads * shape.HeadSize + sizeof(float) * (double)tokens * 2 * _attention.OutputColumns;
        int variants = Activations.Variants(bytes);
        using KvCache cache = Filled(variants, Blocks(tokens));
        using Activations qkv = new(1, tokens, _attention.QkvColumns);
        ForwardBatch batch = Prompt(tokens);
        using TorchTensors queries = new(1, ScalarType.BFloat16, 1, shape.Heads, tokens, shape.HeadSize);
        using TorchTensors keys = new(variants, ScalarType.BFloat16, 1, shape.Heads, tokens, shape.HeadSize);
        using TorchTensors values = new(variants, ScalarType.BFloat16, 1, shape.Heads, tokens, shape.HeadSize);
        yield return new OperationCase("PagedAttention", $"prefill [{tokens}], {Heads}", variants, layer => Attend(qkv, batch, cache, layer))
        {
            Bytes = bytes,
            // Two products over half of all pairs.
            MultiplyAdds = (double)tokens * tokens * shape.Heads * shape.HeadSize,
            PeerName = PeerName,
            Peer = variant => nn.functional.scaled_dot_product_attention(queries[0], keys[variant], values[variant], is_casual: true).Dispose(),
        };
    }

    private IEnumerable<OperationCase> RopeAndStore(int tokens)
    {
        int kept = 2 * shape.KvHeads * shape.HeadSize, rotated = (shape.Heads + shape.KvHeads) * shape.HeadSize;
        double bytes = (double)tokens * (sizeof(float) * (_attention.QkvColumns + rotated) + sizeof(ushort) * kept);
        int variants = Activations.Variants(bytes);
        using KvCache cache = Filled(layers: 1, Blocks(tokens));
        using Activations qkv = new(variants, tokens, _attention.QkvColumns);
        ForwardBatch batch = Prompt(tokens);
        yield return new OperationCase("RopeAndStoreKv", $"[{tokens}], {Heads}", variants, variant =>
        {
            backend.ResetStep();
            backend.RopeAndStoreKv(qkv[variant], batch, _attention, _rope, cache, layer: 0);
        })
        {
            Bytes = bytes,
        };
    }

    /// <summary>Each block to another one, in all layers of the model.</summary>
    private IEnumerable<OperationCase> CopyBlocks(int count)
    {
        KvCacheShape one = new(shape.Layers, count, BlockSize, shape.KvHeads, shape.HeadSize, DType.BF16);
        int variants = Activations.Variants(2.0 * one.ByteLength);
        using KvCache cache = Filled(shape.Layers, 2 * count * variants);
        BlockCopy[][] copies = [.. Enumerable.Range(0, variants).Select(
            variant => Enumerable.Range(2 * count * variant, count).Select(block => new BlockCopy(block, block + count)).ToArray())];
        yield return new OperationCase("CopyBlocks", $"{count} blocks of {BlockSize} tokens, {shape.Layers} layers", variants, variant => backend.CopyBlocks(cache, copies[variant]))
        {
            Bytes = 2.0 * one.ByteLength,
        };
    }

    private string Heads => $"{shape.Heads}:{shape.KvHeads} heads of {shape.HeadSize}";

    private static int Blocks(int tokens) => (tokens + BlockSize - 1) / BlockSize;

    private static int[] Table(int first, int tokens) => [.. Enumerable.Range(first, Blocks(tokens))];

    private static ForwardBatch Prompt(int tokens)
    {
        ForwardBatch batch = new(tokens, 1, Blocks(tokens));
        batch.Add(new int[tokens], 0, Table(0, tokens), BlockSize, tokens);
        return batch;
    }

    private void Attend(Activations qkv, ForwardBatch batch, KvCache cache, int layer)
    {
        backend.ResetStep();
        backend.PagedAttention(qkv[0], batch, _attention, cache, layer);
    }

    /// <summary>A cache with random keys and values in every slot.</summary>
    private KvCache Filled(int layers, int blocks)
    {
        KvCache cache = backend.CreateKvCache(new KvCacheShape(layers, blocks, BlockSize, shape.KvHeads, shape.HeadSize, DType.BF16));
        const int BlocksPerStep = 64;
        using Activations qkv = new(1, BlocksPerStep * BlockSize, _attention.QkvColumns);
        ForwardBatch batch = new(BlocksPerStep * BlockSize, 1, BlocksPerStep);
        for (int first = 0; first < blocks; first += BlocksPerStep)
        {
            int tokens = Math.Min(BlocksPerStep, blocks - first) * BlockSize;
            batch.Clear();
            batch.Add(new int[tokens], 0, Table(first, tokens), BlockSize, tokens);
            for (int layer = 0; layer < layers; layer++)
            {
                backend.RopeAndStoreKv(qkv[0] with { Rows = tokens }, batch, _attention, _rope, cache, layer);
            }
        }

        return cache;
    }
}
