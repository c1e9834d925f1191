using System.CommandLine;

namespace LlamaServe.Bench.Simulation;

/// <summary>Options that a command line names, whatever their defaults are.</summary>
internal static class GivenOptions
{
    public static bool IsGiven(this ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    /// <param name="why">What makes them meaningless.</param>
    /// <exception cref="ArgumentException">One of them is given.</exception>
    public static void Refuse(this ParseResult parsed, string why, params ReadOnlySpan<Option> options)
    {
        foreach (Option option in options)
        {
            if (parsed.IsGiven(option))
            {
                throw new ArgumentException($"{option.Name} means nothing {why}");
            }
        }
    }
}
