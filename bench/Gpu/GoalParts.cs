using LlamaServe.Kernels;

namespace LlamaServe.Bench.Gpu;

/// <summary>The kernels that goals are about, and the same operations in the shapes that whole models need most.</summary>
internal sealed class GoalParts(bool tiny)
{
    private static readonly (string, string) IntMm = ("int_mm", "cuBLAS INT8"), ScaledMm = ("scaled_mm", "cuBLAS FP8");

    private static readonly Goal[] EightBits = [new Goal(GoalOf.Floor, 0.75), new Goal(GoalOf.Peer, 1.7)];

    private readonly GpuModel _small = tiny ? GpuModel.Tiny8B : GpuModel.Llama8B, _large = tiny ? GpuModel.Tiny70B : GpuModel.Llama70B;
    private readonly int[] _few = tiny ? [1, 9] : [1, 4, 8, 16], _many = tiny ? [33] : [2048, 8192], _one = tiny ? [9] : [16];
    private readonly int _sequences = tiny ? 3 : 64, _scale = tiny ? 64 : 1;

    public IEnumerable<GpuPart> All =>
    [
        Products(_large, WeightFormat.Int4, 128, _few, null, new Goal(GoalOf.Floor, 0.85)),
        Products(_small, WeightFormat.Int4, 128, _few, null, new Goal(GoalOf.Floor, 0.7)),
        Attention("paged attention, decode", attention =>
        {
            attention.AddDecode(GpuParts.Attention(_large), DType.BF16, _sequences, 4096 / _scale, new Goal(GoalOf.Floor, 0.88));
            attention.AddDecode(GpuParts.Attention(_large), DType.BF16, _sequences, 512 / _scale, new Goal(GoalOf.Floor, 0.6));
            attention.AddDecode(GpuParts.Attention(_large), DType.Fp8, _sequences, 4096 / _scale);
        }),
        Products(_large, WeightFormat.BF16, 0, _many, null, new Goal(GoalOf.Peer, 0.9)),
        Products(_large, WeightFormat.Int8Dynamic, 0, _many, IntMm, EightBits),
        Products(_large, WeightFormat.Fp8, 0, _many, ScaledMm, EightBits),
        Attention("paged attention, prefill", attention =>
            attention.AddPrefill(GpuParts.Attention(_large), DType.BF16, 8192 / _scale, new Goal(GoalOf.Peer, 0.75))),
        Products(_small, WeightFormat.BF16, 0, tiny ? [9] : [1, 16, 64, 256], null),
        Products(_large, WeightFormat.Int8Dynamic, 0, _one, IntMm),
        Products(_large, WeightFormat.Fp8, 0, _one, ScaledMm),
    ];

    private static GpuPart Products(GpuModel model, WeightFormat format, int groupSize, int[] tokens, (string, string)? ownPeer, params Goal[] goals) =>
        GpuParts.Kernels(
            GpuStage.Kernels, $"{ProductRows.Name(format, groupSize)}, {model.Name}, {string.Join('/', tokens)} rows",
            bench => new ProductRows(bench).Add(model, format, groupSize, tokens, ownPeer, goals));

    private static GpuPart Attention(string name, Action<AttentionRows> add) =>
        GpuParts.Kernels(GpuStage.Kernels, name, bench => add(new AttentionRows(bench)));
}
