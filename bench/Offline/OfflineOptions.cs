using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Offline;

/// <summary>What <c>offline</c> was asked to run.</summary>
/// <param name="Requests">How many, all queued at once.</param>
/// <param name="ShareGpt">A file in ShareGPT's format; null for synthetic prompts.</param>
/// <param name="WarmUp">Requests before the measured ones.</param>
/// <param name="Seed">Of lengths and ids.</param>
internal sealed record OfflineOptions(
    int Requests, LengthDistribution Input, LengthDistribution Output, double SharedPrefix = 0, string? ShareGpt = null, int WarmUp = 8, int Seed = 0)
{
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public void Validate()
    {
        if (Requests < 1 || WarmUp < 0 || SharedPrefix is not (>= 0 and <= 1))
        {
            throw new ArgumentException("--num-prompts is at least 1, --warm-up at least 0, --shared-prefix 0 to 1");
        }
    }
}
