using System.Diagnostics;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Begin and end of a step, and what moves keys and values: embedding, logits' rows, copies of blocks, drafts.</summary>
internal sealed class StepRows(KernelBench bench)
{
    private const int BlockSize = 16, Calls = 21;

    private CudaBackend Backend => bench.Backend;

    /// <summary>Rows of the token table, BF16 to F32.</summary>
    public void AddEmbed(GpuModel model, int tokens)
    {
        int columns = model.Shape.Hidden, vocabulary = model.Shape.Vocabulary;
        Add(new GpuRow("embed", $"{tokens} rows of {columns}"), (sizeof(ushort) + sizeof(float)) * (double)tokens * columns, () =>
        {
            using RandomWeights random = new(WeightFormat.BF16, (long)vocabulary * columns);
            using Weight table = Backend.LoadEmbedding(random.Matrix("table", vocabulary, columns), alsoLinear: false);
            ForwardBatch batch = Prompt([.. Enumerable.Range(0, tokens).Select(i => (int)(i * 7919L % vocabulary))], tokens);
            return Time(() => Backend.Embed(batch, table));
        });
    }

    /// <summary>The last rows of a step.</summary>
    public void AddGather(GpuModel model, int tokens, int gathered)
    {
        int columns = model.Shape.Hidden;
        Add(new GpuRow("gather rows", $"{gathered} of {tokens} rows of {columns}"), 2.0 * sizeof(float) * gathered * columns, () =>
        {
            using DeviceRows x = new(Backend, tokens, columns, DType.F32);
            ForwardBatch batch = Prompt(new int[tokens], tokens - gathered);
            return Time(() => Backend.GatherRows(x.Take(tokens), batch));
        });
    }

    /// <summary>In all layers; the list goes up with each call.</summary>
    public void AddCopyBlocks(GpuModel model, int copies)
    {
        KvCacheShape shape = new(model.Shape.Layers, 2 * copies, BlockSize, model.Shape.KvHeads, model.Shape.HeadSize, DType.BF16);
        Add(new GpuRow("copy blocks", $"{copies} blocks of {BlockSize} tokens, {shape.Layers} layers") { Note = SmallRows.WallClock }, 2.0 * copies * shape.BytesPerBlock, () =>
        {
            using KvCache cache = Backend.CreateKvCache(shape);
            BlockCopy[] list = [.. Enumerable.Range(0, copies).Select(i => new BlockCopy(i, copies + i))];
            return Wall(() => Backend.CopyBlocks(cache, list));
        });
    }

    /// <summary>
    /// Trees whose every second draft is accepted: what verifying adds to sampling is the difference to the row without drafts, and
    /// the accepted half is moved.
    /// </summary>
    public void AddDrafts(GpuModel model, int sequences, int drafts)
    {
        int rows = sequences * (1 + drafts), vocabulary = model.Shape.Vocabulary;
        KvCacheShape shape = new(model.Shape.Layers, sequences * 2, BlockSize, model.Shape.KvHeads, model.Shape.HeadSize, DType.BF16);
        string name = $"{sequences} sequences, trees of {drafts} drafts";
        SamplingRow greedy = new() { TopP = 1, RepetitionPenalty = 1, TargetId = -1 };
        SamplingBatch sampling = new(rows);
        DraftBatch verified = new(sequences, sequences * drafts);
        Enumerable.Range(0, rows).ToList().ForEach(_ => sampling.Add(greedy));
        Add(new GpuRow("sample and verify", name) { Note = SmallRows.WallClock }, (double)sizeof(float) * rows * vocabulary, () =>
        {
            using DeviceRows logits = new(Backend, rows, vocabulary, DType.F32);
            Backend.Sample(logits.Take(rows), sampling);
            sampling.Drafts = Guess(verified, sampling.TokenIds, sequences, drafts, vocabulary);
            return Wall(() => Backend.Sample(logits.Take(rows), sampling));
        });
        Add(new GpuRow("compact drafts", name) { Note = SmallRows.WallClock }, 2.0 * sequences * (drafts / 2) * shape.BytesPerBlock / BlockSize, () =>
        {
            using KvCache cache = Backend.CreateKvCache(shape);
            ForwardBatch batch = Trees(sequences, drafts);
            return Wall(() => Backend.CompactDrafts(cache, batch, verified));
        });
    }

    /// <summary>Pairs of drafts, both behind the second of the pair before: the second is the token that the model chooses there.</summary>
    private static DraftBatch Guess(DraftBatch batch, ReadOnlySpan<int> chosen, int sequences, int drafts, int vocabulary)
    {
        batch.Clear();
        int[] tokens = new int[drafts];
        for (int s = 0; s < sequences; s++)
        {
            int first = s * (1 + drafts);
            for (int i = 0; i < drafts; i++)
            {
                int next = chosen[first + Parent(i) + 1];
                tokens[i] = i % 2 == 1 ? next : (next + 1) % vocabulary;
            }
            batch.Add(first, tokens, Ancestors(drafts));
        }
        return batch;
    }

    private static int Parent(int draft) => draft / 2 * 2 - 1;

    private static ulong[] Ancestors(int drafts)
    {
        ulong[] ancestors = new ulong[drafts];
        for (int i = 0; i < drafts; i++)
        {
            ancestors[i] = (1UL << i) | (Parent(i) < 0 ? 0 : ancestors[Parent(i)]);
        }
        return ancestors;
    }

    private static ForwardBatch Trees(int sequences, int drafts)
    {
        ForwardBatch batch = new(sequences * (1 + drafts), sequences, 2);
        for (int s = 0; s < sequences; s++)
        {
            batch.AddTree(new int[1 + drafts], Ancestors(drafts), 0, [2 * s, 2 * s + 1], BlockSize, logitsFrom: 0);
        }
        return batch;
    }

    private static ForwardBatch Prompt(int[] ids, int logitsFrom)
    {
        int blocks = (ids.Length + BlockSize - 1) / BlockSize;
        ForwardBatch batch = new(ids.Length, 1, blocks);
        batch.Add(ids, 0, [.. Enumerable.Range(0, blocks)], BlockSize, logitsFrom);
        return batch;
    }

    private double Time(Action call)
    {
        Backend.ResetStep();
        return bench.Clock.Seconds(
            _ =>
            {
                Backend.BeginLayer();
                call();
            },
            1);
    }

    /// <summary>Median of calls that wait, or are waited for.</summary>
    private double Wall(Action call)
    {
        double[] seconds = new double[Calls];
        for (int i = -1; i < Calls; i++)
        {
            long start = Stopwatch.GetTimestamp();
            call();
            Backend.Runtime.Stream.Synchronize();
            if (i >= 0)
            {
                seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }
        Array.Sort(seconds);
        return seconds[Calls / 2];
    }

    private void Add(GpuRow row, double bytes, Func<double> seconds)
    {
        row = row with { Floor = bench.Limits.Bytes(bytes) };
        try
        {
            bench.Journal.Add(row with { Value = seconds() });
        }
        catch (CudaException exception)
        {
            bench.Journal.Add(row with { Note = $"{GpuRow.Failed}: {exception.Message}" });
        }
    }
}
