using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Configuration;

/// <summary>
/// The mixtures of experts from config.json. Mixtral has one in every layer; Qwen3's are in every "decoder_sparse_step"-th layer
/// that "mlp_only_layers" does not list. Absent keys have the transformers library's defaults.
/// </summary>
internal static class SnapshotExperts
{
    private const int MixtralExperts = 8, MixtralExpertsPerToken = 2;
    private const int Qwen3Experts = 128, Qwen3ExpertsPerToken = 8, Qwen3IntermediateSize = 768;

    /// <returns>Null where the architecture has none.</returns>
    public static ExpertConfig? Read(CheckpointJson json, Architecture architecture, int layers) => architecture switch
    {
        Architecture.Mixtral => new ExpertConfig(
            Positive(json, "num_local_experts", ConfigLimits.Experts, MixtralExperts),
            Positive(json, "num_experts_per_tok", ConfigLimits.ExpertsPerToken, MixtralExpertsPerToken),
            SnapshotConfig.Positive(json.Get("intermediate_size"), ConfigLimits.IntermediateSize),
            NormalizesWeights: true,
            [.. Enumerable.Repeat(true, layers)]),
        Architecture.Qwen3Moe => new ExpertConfig(
            Positive(json, "num_experts", ConfigLimits.Experts, Qwen3Experts),
            Positive(json, "num_experts_per_tok", ConfigLimits.ExpertsPerToken, Qwen3ExpertsPerToken),
            Positive(json, "moe_intermediate_size", ConfigLimits.IntermediateSize, Qwen3IntermediateSize),
            json.Find("norm_topk_prob") is { IsNull: false } normalizes && normalizes.Boolean(),
            ReadSparseLayers(json, layers)),
        _ => null,
    };

    private static bool[] ReadSparseLayers(CheckpointJson json, int layers)
    {
        int step = Positive(json, "decoder_sparse_step", ConfigLimits.Layers, absent: 1);
        bool[] sparse = [.. Enumerable.Range(1, layers).Select(number => number % step == 0)];
        if (json.Find("mlp_only_layers") is { IsNull: false } dense)
        {
            foreach (CheckpointJson item in dense.Items())
            {
                long layer = item.Integer();
                sparse[layer >= 0 && layer < layers ? layer : throw item.Error($"is {layer}, not in 0 to {layers - 1}")] = false;
            }
        }
        return sparse;
    }

    private static int Positive(CheckpointJson json, string key, int max, int absent) =>
        json.Find(key) is { IsNull: false } value ? SnapshotConfig.Positive(value, max) : absent;
}
