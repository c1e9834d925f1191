using LlamaServe.Bench.Models;

namespace LlamaServe.Bench.Gpu;

/// <summary>Whole models of the peer.</summary>
internal static class ModelPeers
{
    /// <summary>transformers' generate, greedy, on a random Llama in BF16: seconds of a new token.</summary>
    public static PeerCase Decode(GpuModel model)
    {
        LlamaShape shape = model.Shape;
        return new PeerCase($"transformers_decode {model.Name}", "transformers_decode", new Dictionary<string, int>
        {
            ["hidden"] = shape.Hidden,
            ["layers"] = shape.Layers,
            ["heads"] = shape.Heads,
            ["kv_heads"] = shape.KvHeads,
            ["head_dim"] = shape.HeadSize,
            ["feed_forward"] = shape.FeedForward,
            ["vocabulary"] = shape.Vocabulary,
        });
    }
}
