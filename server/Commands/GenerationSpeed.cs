using LlamaServe.V1;

namespace LlamaServe.Server.Commands;

/// <summary>Rates of one sample's stream; 0 where nothing was measured.</summary>
internal readonly record struct GenerationSpeed(Usage Usage, Timings Timings)
{
    /// <summary>Computed prompt tokens, found ones aside, over the time to the first new token.</summary>
    public double PrefillTokensPerSecond => Rate(Usage.PromptTokens - (double)Usage.CachedTokens, Timings.PrefillMs);

    /// <summary>New tokens after the first.</summary>
    public double DecodeTokensPerSecond => Rate(Usage.CompletionTokens - 1.0, Timings.DecodeMs);

    private static double Rate(double tokens, double milliseconds) => tokens > 0 && milliseconds > 0 ? tokens * 1000 / milliseconds : 0;
}
