using LlamaServe.Bench.Models;

namespace LlamaServe.Bench.Gpu;

/// <summary>Whole models of the peer.</summary>
internal static class ModelPeers
{
    /// <summary>Of a small model and a large one, whose weights leave little of the device.</summary>
    private const int ManySequences = 256, FewSequences = 32;

    /// <summary>Longer prompts of so many sequences would take the time that other rows need.</summary>
    private const int MostPromptTokens = 128;

    /// <summary>What stands beside a case, of fewer sequences where the peer has room for no more; null for long prompts.</summary>
    public static PeerCase? Of(ModelCase modelCase) =>
        modelCase.PromptTokens > MostPromptTokens ? null : Decode(modelCase.Model, Sequences(modelCase), modelCase.PromptTokens);

    /// <summary>Its name in the table.</summary>
    public static string Name(ModelCase modelCase) => $"transformers BF16, {Sequences(modelCase)} sequences";

    private static int Sequences(ModelCase modelCase) =>
        Math.Min(modelCase.MostPlaces, modelCase.Model.MatrixElements > 3e10 ? FewSequences : ManySequences);

    /// <summary>transformers' generate, greedy, on a random Llama in BF16: seconds of a new token.</summary>
    /// <param name="sequences">At a time, each with a prompt of so many tokens; the time is of the first 72 new ones.</param>
    private static PeerCase Decode(GpuModel model, int sequences, int promptTokens)
    {
        LlamaShape shape = model.Shape;
        return new PeerCase($"transformers_decode {model.Name} {sequences} x {promptTokens}", "transformers_decode", new Dictionary<string, int>
        {
            ["sequences"] = sequences,
            ["tokens"] = promptTokens,
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
