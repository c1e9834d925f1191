using System.Diagnostics;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>The kernels between the products, which memory or the launch bounds.</summary>
internal sealed class SmallRows(KernelBench bench)
{
    /// <summary>A <see cref="GpuRow.Note"/>: of a call with its uploads and waits.</summary>
    public const string WallClock = "wall clock";

    private const int BlockSize = 16;
    private const float Epsilon = 1e-5f;

    /// <summary>F32 rows to BF16.</summary>
    public void AddRmsNorm(GpuModel model, int tokens)
    {
        int columns = model.Shape.Hidden;
        Add(new GpuRow("RmsNorm", $"{tokens} rows of {columns}"), (sizeof(float) + sizeof(ushort)) * (double)tokens * columns, variants =>
        {
            using RandomWeights random = new(WeightFormat.F32, columns);
            using Weight gain = bench.Backend.LoadVector([random.Matrix("gain", 1, columns)]);
            using DeviceRows x = new(bench.Backend, variants * tokens, columns, DType.F32);
            return Time(variants, i => bench.Backend.RmsNorm(x.Take(tokens, i * tokens), gain, Epsilon));
        });
    }

    /// <summary>Of gate and up in a row; products end with it themselves where they can.</summary>
    public void AddGatedActivation(GpuModel model, int tokens)
    {
        int columns = model.Shape.FeedForward;
        Add(new GpuRow("gated activation", $"{tokens} rows of 2 · {columns}"), 3.0 * sizeof(ushort) * tokens * columns, variants =>
        {
            using DeviceRows x = new(bench.Backend, variants * tokens, 2 * columns);
            return Time(variants, i => bench.Backend.GatedActivation(x.Take(tokens, i * tokens)));
        });
    }

    /// <summary>New tokens of one sequence.</summary>
    public void AddRopeAndStore(GpuModel model, DType type, int tokens)
    {
        AttentionShape shape = new(model.Shape.Heads, model.Shape.KvHeads, model.Shape.HeadSize, 1, SlidingWindow: 0);
        int blocks = (tokens + BlockSize - 1) / BlockSize;
        KvCacheShape cacheShape = new(Layers: 1, blocks, BlockSize, shape.KvHeads, shape.HeadDim, type);
        int rotated = (shape.Heads + shape.KvHeads) * shape.HeadDim;
        double bytes = sizeof(ushort) * (double)tokens * (shape.QkvColumns + rotated) + (double)cacheShape.BytesPerBlock / BlockSize * tokens;
        Add(new GpuRow($"rope, store {type} KV", $"{tokens} tokens, {shape.Heads}:{shape.KvHeads} heads of {shape.HeadDim}"), bytes, variants =>
        {
            RopeParameters rope = new(RopeStyle.HalfSplit, [.. Enumerable.Range(0, shape.HeadDim / 2).Select(i => Math.Pow(500_000, -2.0 * i / shape.HeadDim))]);
            ForwardBatch batch = new(tokens, 1, blocks);
            batch.Add(new int[tokens], 0, [.. Enumerable.Range(0, blocks)], BlockSize, tokens);
            using KvCache cache = bench.Backend.CreateKvCache(cacheShape);
            using DeviceRows qkv = new(bench.Backend, variants * tokens, shape.QkvColumns);
            return Time(variants, i => bench.Backend.RopeAndStoreKv(qkv.Take(tokens, i * tokens), batch, shape, rope, cache, layer: 0));
        });
    }

    /// <summary>The whole call, which waits for the ids; as a step does that overlaps with nothing.</summary>
    public void AddSample(GpuModel model, string how, SamplingRow row, int sequences)
    {
        const int Calls = 21;
        int vocabulary = model.Shape.Vocabulary;
        Add(new GpuRow($"sample, {how}", $"{sequences} rows of {vocabulary}") { Note = WallClock }, (double)sizeof(float) * sequences * vocabulary, variants =>
        {
            using DeviceRows logits = new(bench.Backend, variants * sequences, vocabulary, DType.F32);
            SamplingBatch batch = new(sequences);
            for (int i = 0; i < sequences; i++)
            {
                batch.Add(row);
            }
            double[] seconds = new double[Calls];
            for (int call = -1; call < Calls; call++)
            {
                long start = Stopwatch.GetTimestamp();
                bench.Backend.Sample(logits.Take(sequences, (call + 1) % variants * sequences), batch);
                if (call >= 0)
                {
                    seconds[call] = Stopwatch.GetElapsedTime(start).TotalSeconds;
                }
            }
            Array.Sort(seconds);
            return seconds[Calls / 2];
        });
    }

    private double Time(int variants, Action<int> call)
    {
        bench.Backend.ResetStep();
        return bench.Clock.Seconds(
            i =>
            {
                bench.Backend.BeginLayer();
                call(i % variants);
            },
            variants);
    }

    private void Add(GpuRow row, double bytes, Func<int, double> seconds)
    {
        row = row with { Floor = bench.Limits.Bytes(bytes) };
        try
        {
            bench.Journal.Add(row with { Value = seconds(bench.Clock.Copies((long)bytes)) });
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
}
