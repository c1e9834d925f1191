using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>Everything that decides what is trained, as against where and for how long.</summary>
/// <param name="Shape">The model; its vocabulary size is the most the tokenizer may learn.</param>
/// <param name="WindowsPerStep">Windows of full context an update; as many tokens whatever length they are cut to.</param>
/// <param name="WarmupSteps">Steps over which the learning rate rises linearly to its peak.</param>
/// <param name="LearningRate">The peak, for the matrices and for the rest.</param>
/// <param name="Dropout">Probability of zeroing an element of a residual branch's output.</param>
internal sealed record TrainingRecipe(
    LlamaShape Shape, int WindowsPerStep, int WarmupSteps, float LearningRate, double Dropout)
{
    /// <summary>Type of matrix products: where the processor has BF16 instructions, several times as fast as FP32.</summary>
    public ScalarType ComputeType { get; init; } = ScalarType.BFloat16;

    public int TokensPerStep => WindowsPerStep * Shape.MaxPositions;

    /// <summary>The bundled model. Few epochs are seen, so there is no dropout.</summary>
    public static TrainingRecipe FairyTale5M { get; } = new(
        new LlamaShape(
            VocabularySize: 4096, HiddenSize: 256, Layers: 6, Heads: 4, KeyValueHeads: 2, IntermediateSize: 704,
            MaxPositions: 1024),
        WindowsPerStep: 4, WarmupSteps: 100, LearningRate: 2e-3f, Dropout: 0);
}
