using System.Text;

namespace LlamaServe.Engine.Text;

/// <summary>
/// Looks for stop strings in a text that comes in pieces and holds back what may still become one. The match that is
/// complete first wins; of several complete at the same character, the longest.
/// </summary>
internal sealed class StopStringMatcher(StopStrings stops)
{
    private readonly int[] _matched = new int[stops.Patterns.Length];
    private readonly StringBuilder _held = new();

    /// <summary>The stop string that was found; nothing may be appended after it.</summary>
    public string? Found { get; private set; }

    /// <summary>
    /// Takes the next piece and gives back the text that can no longer be part of a match: mostly the piece itself, then nothing
    /// is allocated.
    /// </summary>
    /// <param name="canStop">Whether a match that completes in this piece counts.</param>
    /// <param name="include">Whether a match stays in the text.</param>
    public string Append(string piece, bool canStop, bool include)
    {
        for (int i = 0; i < piece.Length; i++)
        {
            _held.Append(piece[i]);
            int best = Advance(piece[i]);
            if (best >= 0 && canStop)
            {
                Found = stops.Patterns[best];
                if (!include)
                {
                    _held.Length -= Found.Length;
                }
                return Flush();
            }
        }
        int certain = _held.Length - LongestPartial();
        if (certain == piece.Length && certain == _held.Length)
        {
            _held.Clear();
            return piece;
        }
        return Release(certain);
    }

    /// <summary>Gives back everything that is held; at the end nothing can match any more.</summary>
    public string Flush() => Release(_held.Length);

    /// <summary>Advances all patterns by a character; the longest that is complete with it, or −1.</summary>
    private int Advance(char next)
    {
        int best = -1;
        for (int p = 0; p < _matched.Length; p++)
        {
            string pattern = stops.Patterns[p];
            int[] fallback = stops.Fallbacks[p];
            int matched = _matched[p] == pattern.Length ? fallback[pattern.Length] : _matched[p];
            while (matched > 0 && pattern[matched] != next)
            {
                matched = fallback[matched];
            }
            matched += pattern[matched] == next ? 1 : 0;
            _matched[p] = matched;
            if (matched == pattern.Length && (best < 0 || pattern.Length > stops.Patterns[best].Length))
            {
                best = p;
            }
        }
        return best;
    }

    private int LongestPartial()
    {
        int longest = 0;
        for (int p = 0; p < _matched.Length; p++)
        {
            string pattern = stops.Patterns[p];
            int partial = _matched[p] == pattern.Length ? stops.Fallbacks[p][pattern.Length] : _matched[p];
            longest = Math.Max(longest, partial);
        }
        return longest;
    }

    private string Release(int count)
    {
        if (count <= 0)
        {
            return "";
        }
        string released = _held.ToString(0, count);
        _held.Remove(0, count);
        return released;
    }
}
