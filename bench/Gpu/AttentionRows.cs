using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Paged attention over a cache of random keys and values.</summary>
internal sealed class AttentionRows(CudaBackend backend, GpuClock clock, GpuLimits limits, List<GpuRow> rows, List<PeerCase> peers)
{
    private const int BlockSize = 16;

    /// <summary>One new token of each of many sequences.</summary>
    public void AddDecode(AttentionShape shape, DType type, int sequences, int context, params Goal[] goals)
    {
        string name = $"{sequences} sequences × {context}, {shape.Heads}:{shape.KvHeads} heads of {shape.HeadDim}";
        long layerBytes = new KvCacheShape(Layers: 1, sequences, context, shape.KvHeads, shape.HeadDim, type).ByteLength;
        PeerCase peer = new($"attention_decode {name}", "attention_decode", Arguments(shape, ("sequences", sequences), ("context", context)));
        peers.Add(peer);
        ForwardBatch batch = new(sequences, sequences, Blocks(context));
        for (int s = 0; s < sequences; s++)
        {
            batch.Add([0], context - 1, Table(s, context), BlockSize, 1);
        }
        GpuRow row = new($"paged attention, decode, {type} KV", name)
        {
            Floor = limits.Bytes(layerBytes + 2.0 * sequences * (shape.QkvColumns + shape.OutputColumns)),
            Peer = "PyTorch SDPA, contiguous BF16 KV",
            PeerCases = [peer.Id],
            Goals = goals,
        };
        Add(row, batch, shape, new KvCacheShape(clock.Copies(layerBytes), sequences * Blocks(context), BlockSize, shape.KvHeads, shape.HeadDim, type));
    }

    /// <summary>A whole prompt.</summary>
    public void AddPrefill(AttentionShape shape, DType type, int tokens, params Goal[] goals)
    {
        string name = $"{tokens} tokens, causal, {shape.Heads}:{shape.KvHeads} heads of {shape.HeadDim}";
        PeerCase peer = new($"attention_prefill {name}", "attention_prefill", Arguments(shape, ("tokens", tokens)));
        peers.Add(peer);
        ForwardBatch batch = new(tokens, 1, Blocks(tokens));
        batch.Add(new int[tokens], 0, Table(0, tokens), BlockSize, tokens);
        GpuRow row = new($"paged attention, prefill, {type} KV", name)
        {
            // Two products of the head's size over half of all pairs.
            Floor = 2.0 * tokens * tokens * shape.Heads * shape.HeadDim / limits.Bf16Operations,
            Peer = "PyTorch SDPA (flash)",
            PeerCases = [peer.Id],
            Goals = goals,
        };
        Add(row, batch, shape, new KvCacheShape(1, Blocks(tokens), BlockSize, shape.KvHeads, shape.HeadDim, type));
    }

    private static Dictionary<string, int> Arguments(AttentionShape shape, params (string Name, int Value)[] own) => new(
        own.Concat([("heads", shape.Heads), ("kv_heads", shape.KvHeads), ("head_dim", shape.HeadDim)])
            .Select(argument => KeyValuePair.Create(argument.Item1, argument.Item2)));

    private static int Blocks(int tokens) => (tokens + BlockSize - 1) / BlockSize;

    private static int[] Table(int sequence, int tokens) => [.. Enumerable.Range(sequence * Blocks(tokens), Blocks(tokens))];

    private void Add(GpuRow row, ForwardBatch batch, AttentionShape shape, KvCacheShape cacheShape)
    {
        try
        {
            using KvCache cache = backend.CreateKvCache(cacheShape);
            Fill(cache, shape);
            using DeviceRows qkv = new(backend, batch.TokenCount, shape.QkvColumns);
            backend.ResetStep();
            double seconds = clock.Seconds(
                i =>
                {
                    backend.BeginLayer();
                    backend.PagedAttention(qkv.Take(batch.TokenCount), batch, shape, cache, i % cacheShape.Layers);
                },
                cacheShape.Layers);
            rows.Add(row with { Value = seconds });
        }
        catch (ArgumentException exception)
        {
            rows.Add(row with { Note = $"not built: {exception.Message}" });
        }
        catch (CudaException exception)
        {
            rows.Add(row with { Note = $"FAILED: {exception.Message}" });
        }
    }

    /// <summary>Random keys and values in every slot of every layer.</summary>
    private void Fill(KvCache cache, AttentionShape shape)
    {
        const int TokensPerStep = 2048;
        RopeParameters noRotation = new(RopeStyle.HalfSplit, new double[shape.HeadDim / 2]);
        int all = cache.Shape.Blocks * BlockSize, tokens = Math.Min(TokensPerStep, all);
        using DeviceRows qkv = new(backend, tokens, shape.QkvColumns);
        for (int layer = 0; layer < cache.Shape.Layers; layer++)
        {
            for (int first = 0; first < all; first += tokens)
            {
                int count = Math.Min(tokens, all - first);
                backend.ResetStep();
                ForwardBatch batch = new(tokens, 1, Blocks(tokens));
                batch.Add(new int[count], 0, [.. Enumerable.Range(first / BlockSize, Blocks(count))], BlockSize, count);
                backend.RopeAndStoreKv(qkv.Take(count), batch, shape, noRotation, cache, layer);
            }
        }
        backend.Runtime.Stream.Synchronize();
    }
}
