using LlamaServe.Kernels.Tests.Cuda;

namespace LlamaServe.Kernels.Tests;

/// <summary>A whole decoder step, prefill and decode mixed, repeated until it is warm, must allocate nothing on any thread.</summary>
[TestFixture("cpu")]
[TestFixture("cpu-portable")]
[TestFixture(TestDevice.Emulated, Category = Toolchain.Emulated)]
[TestFixture(TestDevice.Gpu, Category = Toolchain.Gpu)]
[NonParallelizable]
internal sealed class AllocationTests(string backendName) : OpTests(backendName)
{
    private const int Hidden = 256, Vocabulary = 1000, Layers = 2;
    private static readonly AttentionShape Shape = new(4, 2, 64, 1 / MathF.Sqrt(64), 0);

    [Test]
    public void A_step_allocates_nothing()
    {
        using Weight table = Matrix(Vocabulary, alsoTable: true), qkv = Matrix(Shape.QkvColumns), projection = Matrix(Hidden), gateUp = Matrix(2 * Hidden);
        using Weight gain = Vector(new float[Hidden]), headGain = Vector(new float[64]);
        using KvCache cache = Backend.CreateKvCache(new KvCacheShape(Layers, 200, 16, 2, 64, DType.BF16, HostBlocks: 1));
        RopeParameters rope = new(RopeStyle.HalfSplit, new double[32]);
        HeadNorms norms = new(headGain, headGain, 1e-6f);
        Backend.Reserve(64, 2 * Hidden, 8, Vocabulary);
        ForwardBatch batch = Batch();
        SamplingBatch sampling = new(8);

        void Step()
        {
            Backend.ResetStep();
            Tensor x = Backend.Embed(batch, table);
            for (int layer = 0; layer < Layers; layer++)
            {
                Backend.BeginLayer();
                Tensor rows = Backend.Linear(Backend.RmsNorm(x, gain, 1e-5f), qkv);
                Backend.RopeAndStoreKv(rows, batch, Shape, rope, cache, layer, norms);
                x = Backend.Linear(Backend.PagedAttention(rows, batch, Shape, cache, layer), projection, residual: x);
                x = Backend.Linear(Backend.GatedActivation(Backend.Linear(Backend.RmsNorm(x, gain, 1e-5f), gateUp)), projection, residual: x);
            }
            Backend.SwapBlocks(cache, [new BlockSwap(0, 0, ToHost: true), new BlockSwap(2, 0, ToHost: false)]);
            Backend.CopyBlocks(cache, [new BlockCopy(0, 1)]);
            Tensor logits = Backend.Linear(Backend.GatherRows(x, batch), table);
            FillSampling(sampling, logits.Rows);
            Backend.Sample(logits, sampling);
        }

        for (int i = 0; i < Times(50, onCuda: 5); i++)
        {
            Step();
        }
        Assert.That(LeastAllocated(Step, Times(20, onCuda: 10)), Is.Zero);
    }

    /// <summary>Bytes that all threads allocate in a step; the least of several, as the runtime itself allocates now and then.</summary>
    private static long LeastAllocated(Action step, int times)
    {
        long least = long.MaxValue;
        for (int i = 0; i < times; i++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true), ownBefore = GC.GetAllocatedBytesForCurrentThread();
            step();
            long own = GC.GetAllocatedBytesForCurrentThread() - ownBefore;
            least = Math.Min(least, Math.Max(own, GC.GetTotalAllocatedBytes(precise: true) - before));
        }
        return least;
    }

    private static void FillSampling(SamplingBatch sampling, int rows)
    {
        sampling.Clear();
        for (int i = 0; i < rows; i++)
        {
            sampling.Add(new SamplingRow
            {
                Temperature = i % 2,
                TopK = 50,
                TopP = 0.9f,
                RepetitionPenalty = 1.1f,
                TargetId = -1,
                LogProb = true,
                TopLogProbs = 5,
            });
        }
    }

    private static ForwardBatch Batch()
    {
        ForwardBatch batch = new(64, 8, 100);
        int[] table = Enumerable.Range(0, 200).ToArray();
        batch.Add(new int[30], 10, table, 16, 29);
        batch.Add([5], 700, table, 16, 0);
        batch.Add([6], 1500, table, 16, 0);
        return batch;
    }

    private Weight Matrix(int rows, bool alsoTable = false)
    {
        WeightData data = Stored(WeightFormat.Q8_0, rows, Hidden, StoredWeights.Random(new Random(rows), WeightFormat.Q8_0, rows * Hidden));
        return alsoTable ? Backend.LoadEmbedding(data, alsoLinear: true) : Backend.LoadLinear([data]);
    }
}
