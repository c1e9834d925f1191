using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Models.Configuration;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Server.Hosting;

/// <summary>The model that is served, loaded and ready. Owns the engine.</summary>
/// <param name="Name">What requests call it.</param>
/// <param name="Engine">Started.</param>
/// <param name="Device">Device and kernels, for people.</param>
internal sealed record HostedModel(
    string Name, LlamaEngine Engine, Tokenizer Tokenizer, ModelConfig Config, GenerationDefaults Defaults, string Device)
{
    // No prompt that fits the context is longer, endless blanks aside.
    private const int MaxTextBytesPerToken = 64;

    public ServingLimits Limits { get; } = Engine.Limits ?? throw new ArgumentException("the engine is not started", nameof(Engine));

    /// <summary>Most UTF-8 bytes of a text that is tokenised.</summary>
    public int MaxTextBytes => (int)Math.Min(int.MaxValue, (long)Limits.ContextLength * MaxTextBytesPerToken);

    /// <summary>How tokens are chosen where a request does not say.</summary>
    public SamplingParameters DefaultSampling { get; } = new()
    {
        Temperature = Defaults.Temperature ?? 1,
        TopK = Defaults.TopK ?? 0,
        TopP = Defaults.TopP ?? 1,
        MinP = Defaults.MinP ?? 0,
        RepetitionPenalty = Defaults.RepetitionPenalty ?? 1,
    };
}

/// <summary>Loads a model and starts its engine.</summary>
internal delegate Task<HostedModel> StartModel(IServiceProvider services, CancellationToken cancellationToken);
