namespace LlamaServe.Engine.Text;

/// <summary>
/// A request's stop strings, prepared for matching character by character (Knuth, Morris and Pratt, 1977).
/// </summary>
internal sealed class StopStrings
{
    /// <param name="patterns">Not empty, none of them empty.</param>
    public StopStrings(IReadOnlyList<string> patterns)
    {
        Patterns = [.. patterns];
        Fallbacks = [.. Patterns.Select(Fallback)];
    }

    public string[] Patterns { get; }

    /// <summary>[pattern][n] length of the longest proper prefix of the pattern that ends its first n characters.</summary>
    public int[][] Fallbacks { get; }

    private static int[] Fallback(string pattern)
    {
        int[] fallback = new int[pattern.Length + 1];
        int matched = 0;
        for (int i = 1; i < pattern.Length; i++)
        {
            while (matched > 0 && pattern[matched] != pattern[i])
            {
                matched = fallback[matched];
            }
            matched += pattern[matched] == pattern[i] ? 1 : 0;
            fallback[i + 1] = matched;
        }
        return fallback;
    }
}
