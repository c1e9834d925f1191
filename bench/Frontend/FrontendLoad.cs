using LlamaServe.V1;

namespace LlamaServe.Bench.Frontend;

/// <summary>A request that clients send again and again.</summary>
/// <param name="Name">What the results call it.</param>
/// <param name="MaxTokens">Tokens of every answer.</param>
/// <param name="GoalPerSecond">Requests a second that the server has to manage: 4,000 short ones, or 500,000 tokens.</param>
internal sealed record FrontendLoad(string Name, uint MaxTokens, double GoalPerSecond)
{
    public static IReadOnlyList<FrontendLoad> All { get; } =
        [new("short requests", 8, 4000), new("long streams", 8192, 500_000.0 / 8192)];

    public GenerateRequest Request { get; } = new()
    {
        Text = "Once upon a time there was a king who had three daughters",
        Sampling = new SamplingOptions { Temperature = 0 },
        Stopping = new StoppingOptions { MaxTokens = MaxTokens },
    };

    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static FrontendLoad Named(string name) =>
        All.FirstOrDefault(load => load.Name == name) ?? throw new ArgumentException($"there is no load \"{name}\"", nameof(name));
}
