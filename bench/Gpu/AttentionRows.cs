using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Paged attention over a cache of random keys and values.</summary>
internal sealed class AttentionRows(KernelBench bench)
{
    private const int BlockSize = 16;

    /// <summary>One new token of each of many sequences.</summary>
    public void AddDecode(AttentionShape shape, DType type, int sequences, int context, params Goal[] goals)
    {
        string name = $"{sequences} sequences × {context}, {Heads(shape)}";
        ForwardBatch batch = new(sequences, sequences, Blocks(context));
        AddContexts(batch, sequences, context);
        GpuRow row = new($"paged attention, decode, {type} KV", name) { Floor = Bytes(shape, type, sequences, context, 1), Goals = goals };
        if (shape.SlidingWindow == 0)
        {
            PeerCase peer = new($"attention_decode {name}", "attention_decode", Arguments(shape, ("sequences", sequences), ("context", context)));
            bench.Journal.Add(peer);
            row = row with { Peer = "PyTorch SDPA, contiguous BF16 KV", PeerCases = [peer.Id] };
        }
        Add(row, batch, shape, Contexts(shape, type, sequences, context));
    }

    /// <summary>A committed token and a binary tree of drafts of each of many sequences.</summary>
    public void AddTrees(AttentionShape shape, int sequences, int context, int drafts)
    {
        ulong[] ancestors = new ulong[drafts];
        for (int i = 0; i < drafts; i++)
        {
            int parent = (i + 1) / 2 - 1;
            ancestors[i] = (1UL << i) | (parent < 0 ? 0 : ancestors[parent]);
        }
        int all = context + drafts;
        ForwardBatch batch = new(sequences * (1 + drafts), sequences, Blocks(all));
        for (int s = 0; s < sequences; s++)
        {
            batch.AddTree(new int[1 + drafts], ancestors, context - 1, Table(s, all), BlockSize, 1 + drafts);
        }
        GpuRow row = new("paged attention, trees of drafts, BF16 KV", $"{sequences} sequences × {context}, {drafts} drafts, {Heads(shape)}")
        {
            Floor = Bytes(shape, DType.BF16, sequences, all, 1 + drafts),
        };
        Add(row, batch, shape, Contexts(shape, DType.BF16, sequences, all));
    }

    /// <summary>One new token of each of many sequences, and a prompt, in one launch.</summary>
    public void AddMixed(AttentionShape shape, int sequences, int context, int prompt)
    {
        ForwardBatch batch = new(sequences + prompt, sequences + 1, Blocks(Math.Max(context, prompt)));
        AddContexts(batch, sequences, context);
        int first = sequences * Blocks(context);
        batch.Add(new int[prompt], 0, [.. Enumerable.Range(first, Blocks(prompt))], BlockSize, prompt);
        double operations = 2.0 * prompt * prompt * shape.Heads * shape.HeadDim;
        GpuRow row = new("paged attention, mixed batch, BF16 KV", $"{sequences} sequences × {context} and a prompt of {prompt}, {Heads(shape)}")
        {
            Floor = Math.Max(Bytes(shape, DType.BF16, sequences, context, 1), operations / bench.Limits.Bf16Operations),
        };
        Add(row, batch, shape, new KvCacheShape(1, first + Blocks(prompt), BlockSize, shape.KvHeads, shape.HeadDim, DType.BF16));
    }

    /// <summary>A whole prompt.</summary>
    public void AddPrefill(AttentionShape shape, DType type, int tokens, params Goal[] goals)
    {
        string name = $"{tokens} tokens, causal, {Heads(shape)}";
        PeerCase peer = new($"attention_prefill {name}", "attention_prefill", Arguments(shape, ("tokens", tokens)));
        bench.Journal.Add(peer);
        ForwardBatch batch = new(tokens, 1, Blocks(tokens));
        batch.Add(new int[tokens], 0, Table(0, tokens), BlockSize, tokens);
        GpuRow row = new($"paged attention, prefill, {type} KV", name)
        {
            // Two products of the head's size over half of all pairs.
            Floor = 2.0 * tokens * tokens * shape.Heads * shape.HeadDim / bench.Limits.Bf16Operations,
            Peer = "PyTorch SDPA (flash)",
            PeerCases = [peer.Id],
            Goals = goals,
        };
        Add(row, batch, shape, new KvCacheShape(1, Blocks(tokens), BlockSize, shape.KvHeads, shape.HeadDim, type));
    }

    private static Dictionary<string, int> Arguments(AttentionShape shape, params (string Name, int Value)[] own) => new(
        own.Concat([("heads", shape.Heads), ("kv_heads", shape.KvHeads), ("head_dim", shape.HeadDim)])
            .Select(argument => KeyValuePair.Create(argument.Item1, argument.Item2)));

    private static string Heads(AttentionShape shape) =>
        $"{shape.Heads}:{shape.KvHeads} heads of {shape.HeadDim}{(shape.SlidingWindow == 0 ? "" : $", window {shape.SlidingWindow}")}";

    /// <summary>Seconds of what the rows see of their contexts, and of rows in and out.</summary>
    private double Bytes(AttentionShape shape, DType type, int sequences, int context, int rows)
    {
        int seen = shape.SlidingWindow == 0 ? context : Math.Min(context, shape.SlidingWindow);
        long cache = new KvCacheShape(Layers: 1, sequences, seen, shape.KvHeads, shape.HeadDim, type).ByteLength;
        return bench.Limits.Bytes(cache + 2.0 * sequences * rows * (shape.QkvColumns + shape.OutputColumns));
    }

    /// <summary>Layers enough for the clock's rotation.</summary>
    private KvCacheShape Contexts(AttentionShape shape, DType type, int sequences, int context)
    {
        KvCacheShape layer = new(1, sequences * Blocks(context), BlockSize, shape.KvHeads, shape.HeadDim, type);
        return layer with { Layers = bench.Clock.Copies(layer.ByteLength) };
    }

    private static void AddContexts(ForwardBatch batch, int sequences, int context)
    {
        for (int s = 0; s < sequences; s++)
        {
            batch.Add([0], context - 1, Table(s, context), BlockSize, 1);
        }
    }

    private static int Blocks(int tokens) => (tokens + BlockSize - 1) / BlockSize;

    private static int[] Table(int sequence, int tokens) => [.. Enumerable.Range(sequence * Blocks(tokens), Blocks(tokens))];

    private void Add(GpuRow row, ForwardBatch batch, AttentionShape shape, KvCacheShape cacheShape)
    {
        try
        {
            using KvCache cache = bench.Backend.CreateKvCache(cacheShape);
            Fill(cache, shape);
            using DeviceRows qkv = new(bench.Backend, batch.TokenCount, shape.QkvColumns);
            bench.Backend.ResetStep();
            double seconds = bench.Clock.Seconds(
                i =>
                {
                    bench.Backend.BeginLayer();
                    bench.Backend.PagedAttention(qkv.Take(batch.TokenCount), batch, shape, cache, i % cacheShape.Layers);
                },
                cacheShape.Layers);
            bench.Journal.Add(row with { Value = seconds });
        }
        catch (ArgumentException exception)
        {
            bench.Journal.Add(row with { Note = $"not built: {exception.Message}" });
        }
        catch (CudaException exception)
        {
            bench.Journal.Add(row with { Note = $"{GpuRow.Failed}: {exception.Message}" });
        }
    }

    /// <summary>Random keys and values in every slot of every layer.</summary>
    private void Fill(KvCache cache, AttentionShape shape)
    {
        const int TokensPerStep = 2048;
        RopeParameters noRotation = new(RopeStyle.HalfSplit, new double[shape.HeadDim / 2]);
        int all = cache.Shape.Blocks * BlockSize, tokens = Math.Min(TokensPerStep, all);
        using DeviceRows qkv = new(bench.Backend, tokens, shape.QkvColumns);
        for (int layer = 0; layer < cache.Shape.Layers; layer++)
        {
            for (int first = 0; first < all; first += tokens)
            {
                int count = Math.Min(tokens, all - first);
                bench.Backend.ResetStep();
                ForwardBatch batch = new(tokens, 1, Blocks(tokens));
                batch.Add(new int[count], 0, [.. Enumerable.Range(first / BlockSize, Blocks(count))], BlockSize, count);
                bench.Backend.RopeAndStoreKv(qkv.Take(count), batch, shape, noRotation, cache, layer);
            }
        }
        bench.Backend.Runtime.Stream.Synchronize();
    }
}
