using LlamaServe.Kernels;

namespace LlamaServe.Bench.Gpu;

/// <summary>Every other kernel, in few shapes: none of these rows takes a second.</summary>
internal sealed class OtherParts(bool tiny)
{
    private readonly GpuModel _small = tiny ? GpuModel.Tiny8B : GpuModel.Llama8B, _large = tiny ? GpuModel.Tiny70B : GpuModel.Llama70B;
    private readonly int[] _rows = tiny ? [9] : [1, 16, 2048], _steps = tiny ? [1, 3] : [1, 64, 2048];
    private readonly int _few = tiny ? 3 : 64, _many = tiny ? 33 : 2048, _context = tiny ? 64 : 4096;

    public IEnumerable<GpuPart> All =>
    [
        Part("norms, activations, rope", bench => AddSmall(new SmallRows(bench))),
        Part("sampling", bench => AddSampling(new SmallRows(bench), new StepRows(bench))),
        Part("W4A16, more rows", bench => new ProductRows(bench).Add(_large, WeightFormat.Int4, 128, tiny ? [17] : [64, 256, 2048], null)),
        Mixture(WeightFormat.Int4, 128),
        Mixture(WeightFormat.BF16, 0),
        Part("paged attention, other KV and steps", bench => AddAttention(new AttentionRows(bench))),
        Part("paged attention, other heads", bench => AddHeads(new AttentionRows(bench))),
        Part("embedding, gathering, block copies", bench => AddSteps(new StepRows(bench))),
        Part("swaps of blocks", bench => new SwapRows(bench).Add(_large, DType.BF16, blocks: tiny ? 2 : 64)),
        .. new[] { (WeightFormat.Int8, 0), (WeightFormat.Q4_0, 0), (WeightFormat.F16, 0), (WeightFormat.Q4_K, 0), (WeightFormat.Q8_0, 0), (WeightFormat.Q6_K, 0),
            (WeightFormat.Int4, 64), (WeightFormat.Int4, 32), (WeightFormat.Int4, 0), (WeightFormat.Int8, 64), (WeightFormat.Int8, 32) }.Select(Products),
        .. new[] { (WeightFormat.Int4, 128), (WeightFormat.Int4, 64), (WeightFormat.Int4, 32), (WeightFormat.Int8, 32) }.Select(Zeros),
    ];

    private static GpuPart Part(string name, Action<KernelBench> measure) => GpuParts.Kernels(GpuStage.Others, name, measure);

    private GpuPart Products((WeightFormat Format, int GroupSize) weights) => Part(
        $"{ProductRows.Name(weights.Format, weights.GroupSize)} products",
        bench => new ProductRows(bench).Add(_small, weights.Format, weights.GroupSize, _rows, null));

    private GpuPart Zeros((WeightFormat Format, int GroupSize) weights) => Part(
        $"{ProductRows.Name(weights.Format, weights.GroupSize, hasZeros: true)} products",
        bench => new ProductRows(bench).AddZeros(_small, weights.Format, weights.GroupSize, _rows));

    private GpuPart Mixture(WeightFormat format, int groupSize) => Part($"mixtures of experts, {ProductRows.Name(format, groupSize)}", bench =>
    {
        ExpertRows rows = new(bench);
        foreach (GpuMixture mixture in (GpuMixture[])(tiny ? [GpuMixture.Tiny] : [GpuMixture.Qwen3, GpuMixture.Mixtral]))
        {
            rows.Add(mixture, format, groupSize, _steps);
        }
    });

    private void AddSmall(SmallRows small)
    {
        foreach (int tokens in (int[])[1, _few, _many])
        {
            small.AddRmsNorm(_large, tokens);
            small.AddGatedActivation(_large, tokens);
            small.AddRopeAndStore(_large, DType.BF16, tokens);
            small.AddRopeAndStore(_large, DType.Fp8, tokens);
            small.AddRopeAndStore(_large, DType.Int8, tokens);
        }
    }

    private void AddSampling(SmallRows small, StepRows steps)
    {
        SamplingRow greedy = new() { TopP = 1, RepetitionPenalty = 1, TargetId = -1 }, random = greedy with { Temperature = 0.8f, Seed = 1 };
        SamplingRow cut = random with { TopK = 50, TopP = 0.95f };
        int[] history = [.. Enumerable.Range(0, tiny ? 20 : 1000).Select(i => i * 89 % _large.Shape.Vocabulary)];
        small.AddSample(_large, "greedy", greedy, _few);
        small.AddSample(_large, "no cut", random, _few);
        small.AddSample(_large, "top-k 50, top-p 0.95", cut, _few);
        small.AddSample(_large, "min-p 0.05", random with { MinP = 0.05f }, _few);
        small.AddSample(
            _large, $"top-k 50, top-p 0.95, penalties over {history.Length} tokens",
            cut with { RepetitionPenalty = 1.1f, FrequencyPenalty = 0.1f, Tokens = history, PromptLength = history.Length / 2 }, _few);
        small.AddSample(_large, "greedy, 5 log-probabilities", greedy with { LogProb = true, TopLogProbs = 5 }, _few);
        steps.AddDrafts(_large, _few / 3, drafts: tiny ? 4 : 8);
    }

    private void AddAttention(AttentionRows attention)
    {
        AttentionShape shape = GpuParts.Attention(_large);
        attention.AddDecode(shape, DType.Int8, _few, _context);
        attention.AddDecode(shape, DType.BF16, 1, tiny ? 128 : 32768);
        attention.AddDecode(GpuParts.Attention(_large, window: _context / 4), DType.BF16, _few, _context);
        attention.AddTrees(shape, _few / 3, _context, drafts: 16);
        attention.AddMixed(shape, _few, _context, _context / 4);
        attention.AddPrefill(shape, DType.Fp8, _context);
        attention.AddPrefill(shape, DType.Int8, _context);
    }

    private void AddHeads(AttentionRows attention)
    {
        foreach (int size in (int[])[64, 80, 96, 256])
        {
            AttentionShape shape = GpuParts.Attention(_large, size);
            attention.AddDecode(shape, DType.BF16, _few, _context);
            attention.AddPrefill(shape, DType.BF16, _context);
        }
    }

    private void AddSteps(StepRows steps)
    {
        foreach (int tokens in (int[])[_few, _many])
        {
            steps.AddEmbed(_small, tokens);
        }
        steps.AddGather(_small, _many, _few);
        steps.AddCopyBlocks(_small, _few);
    }
}
