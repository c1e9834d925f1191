using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Correctness first, then every row of the table: what <c>gpu</c> does. docs/gpu.md says what each row is.</summary>
internal sealed class GpuRun(GpuOptions options)
{
    /// <summary>Beside the pool of weights and caches: activations of the largest products, and the driver.</summary>
    private const long ReservedBytes = 12L << 30;

    private static readonly TimeSpan PeerPatience = TimeSpan.FromMinutes(2.5);

    private readonly GpuDeadline _deadline = new(options.TimeLimit);
    private readonly List<GpuRow> _rows = [];
    private readonly List<PeerCase> _peers = [];
    private IReadOnlyDictionary<string, double> _peerSeconds = new Dictionary<string, double>();
    private GpuLimits _limits = null!;

    /// <summary>Whether the device computed everything right. Goals that are missed do not count: the table has them.</summary>
    public async Task<bool> RunAsync()
    {
        Directory.CreateDirectory(options.Output);
        bool isCorrect = !options.Stages.Contains(GpuStage.Tests) || TestRun.Run(options);
        Say($"correctness {(isCorrect ? "done" : "FAILED")}");
        _limits = GpuLimits.Measure(options);
        Say(_limits.ToString());
        if (options.Stages.Contains(GpuStage.Kernels))
        {
            TryMeasureKernels();
            Save("kernels");
        }
        if (options.Stages.Contains(GpuStage.Peers))
        {
            _peers.Add(ModelPeers.Decode(options.Tiny ? GpuModel.Tiny8B : GpuModel.Llama8B));
            TimeSpan patience = _deadline.Left < 2 * PeerPatience ? _deadline.Left / 2 : PeerPatience;
            _peerSeconds = PeerProcess.Run(options, _peers, patience);
            Save($"{_peerSeconds.Count} of {_peers.DistinctBy(peer => peer.Id).Count()} cases of peers");
        }
        if (options.Stages.Contains(GpuStage.Models))
        {
            await MeasureModelsAsync();
        }
        string path = Save("all");
        GpuTable.Print(Console.Out, Rows.Where(row => !row.IsDetail));
        Console.WriteLine($"{_limits}. Every row: {path}");
        return isCorrect;
    }

    private IEnumerable<GpuRow> Rows => _rows.Select(row => row.WithPeer(_peerSeconds));

    private void TryMeasureKernels()
    {
        try
        {
            MeasureKernels();
        }
        catch (Exception exception) when (exception is CudaException or CudaUnavailableException)
        {
            // What was measured before it is worth having.
            Say($"THE MEASUREMENTS OF KERNELS WERE CUT OFF: {exception.Message}");
        }
    }

    private void MeasureKernels()
    {
        using CudaBackend backend = new(new CudaBackendOptions { Emulated = options.IsEmulated, Ordinal = options.Ordinal, ReservedBytes = ReservedBytes });
        using GpuClock clock = new(backend.Runtime, options.Tiny);
        (GpuModel small, GpuModel large) = options.Tiny ? (GpuModel.Tiny8B, GpuModel.Tiny70B) : (GpuModel.Llama8B, GpuModel.Llama70B);
        MeasureSmallKernels(new SmallRows(backend, clock, _limits, _rows), large);
        new SwapRows(backend, clock, _rows).Add(large, DType.BF16, blocks: options.Tiny ? 2 : 64);
        ProductRows products = new(backend, clock, _limits, _rows, _peers);
        int[] few = options.Tiny ? [1, 9] : [1, 4, 8, 16], many = options.Tiny ? [33] : [2048, 8192], one = [few[^1]];
        products.Add(large, WeightFormat.Int4, 128, few, null, new Goal(GoalOf.Floor, 0.85));
        products.Add(small, WeightFormat.Int4, 128, few, null, new Goal(GoalOf.Floor, 0.7));
        products.Add(large, WeightFormat.Q4_0, 0, few, null);
        products.Add(small, WeightFormat.Q4_0, 0, few, null);
        products.Add(small, WeightFormat.BF16, 0, one, null);
        products.Add(large, WeightFormat.BF16, 0, many, null, new Goal(GoalOf.Peer, 0.9));
        (string, string) intMm = ("int_mm", "cuBLAS INT8"), scaledMm = ("scaled_mm", "cuBLAS FP8");
        Goal[] eightBits = [new Goal(GoalOf.Floor, 0.75), new Goal(GoalOf.Peer, 1.7)];
        products.Add(large, WeightFormat.Int8Dynamic, 0, many, intMm, eightBits);
        products.Add(large, WeightFormat.Fp8, 0, many, scaledMm, eightBits);
        products.Add(large, WeightFormat.Int8Dynamic, 0, one, intMm);
        products.Add(large, WeightFormat.Fp8, 0, one, scaledMm);
        Save("products");
        MeasureAttention(new AttentionRows(backend, clock, _limits, _rows, _peers), large);
    }

    /// <summary>First: a backend that has W8A8 weights quantizes rows in norms and activations too.</summary>
    private void MeasureSmallKernels(SmallRows small, GpuModel model)
    {
        int few = options.Tiny ? 3 : 64, many = options.Tiny ? 33 : 2048;
        foreach (int tokens in (int[])[1, few, many])
        {
            small.AddRmsNorm(model, tokens);
            small.AddGatedActivation(model, tokens);
            small.AddRopeAndStore(model, DType.BF16, tokens);
            small.AddRopeAndStore(model, DType.Fp8, tokens);
        }
        small.AddSample(model, "greedy", new SamplingRow { TopP = 1, RepetitionPenalty = 1, TargetId = -1 }, few);
        small.AddSample(model, "top-k 50, top-p 0.95", new SamplingRow { Temperature = 0.8f, TopK = 50, TopP = 0.95f, RepetitionPenalty = 1, TargetId = -1, Seed = 1 }, few);
        Save("small kernels");
    }

    private void MeasureAttention(AttentionRows attention, GpuModel model)
    {
        AttentionShape shape = new(model.Shape.Heads, model.Shape.KvHeads, model.Shape.HeadSize, 1 / MathF.Sqrt(model.Shape.HeadSize), 0);
        int sequences = options.Tiny ? 3 : 64, scale = options.Tiny ? 64 : 1;
        attention.AddDecode(shape, DType.BF16, sequences, 4096 / scale, new Goal(GoalOf.Floor, 0.88));
        attention.AddDecode(shape, DType.BF16, sequences, 512 / scale, new Goal(GoalOf.Floor, 0.6));
        attention.AddDecode(shape, DType.Fp8, sequences, 4096 / scale);
        attention.AddPrefill(shape, DType.BF16, 8192 / scale, new Goal(GoalOf.Peer, 0.75));
    }

    private async Task MeasureModelsAsync()
    {
        ModelRows models = new(options, _limits, GpuLimits.FreeBytes(options), _deadline, _rows);
        foreach (ModelCase modelCase in options.Tiny ? ModelCases.Tiny : ModelCases.All)
        {
            await models.AddAsync(modelCase);
            Save(modelCase.Name);
        }
    }

    private string Save(string what)
    {
        Say(what);
        return ResultFile.Write(options.Output, "gpu", null, new { Limits = _limits, PeerSeconds = _peerSeconds, Rows });
    }

    private void Say(string what) => Console.WriteLine($"[{_deadline.Passed.TotalSeconds,4:F0} s] {what}");
}
