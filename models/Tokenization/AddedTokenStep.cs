using System.Buffers;
using System.Globalization;

namespace LlamaServe.Models.Tokenization;

/// <summary>Cuts added tokens out of the text, leftmost first and the longest at a place; what is between goes on.</summary>
internal sealed class AddedTokenStep : EncodingStep
{
    private const int Root = 0;

    private readonly Dictionary<(int Node, char Next), int> _edges = [];
    private readonly List<AddedToken?> _tokenAt = [null];
    private readonly SearchValues<char> _firstChars;

    public AddedTokenStep(IEnumerable<AddedToken> tokens)
    {
        foreach (AddedToken token in tokens)
        {
            int node = Root;
            foreach (char c in token.Content)
            {
                if (!_edges.TryGetValue((node, c), out int child))
                {
                    child = _tokenAt.Count;
                    _tokenAt.Add(null);
                    _edges.Add((node, c), child);
                }
                node = child;
            }
            _tokenAt[node] ??= token;
        }
        _firstChars = SearchValues.Create([.. _edges.Keys.Where(edge => edge.Node == Root).Select(edge => edge.Next)]);
    }

    public override void Encode(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        int done = 0;
        for (int position = 0; position < text.Length; position++)
        {
            int skip = text[position..].IndexOfAny(_firstChars);
            if (skip < 0)
            {
                break;
            }
            position += skip;
            if (Longest(text[position..], parseSpecialTokens) is not { } token)
            {
                continue;
            }
            int end = position + token.Content.Length;
            if (token.SingleWord && (EndsWord(text[..position]) || StartsWord(text[end..])))
            {
                position = end - 1;
                continue;
            }
            int begin = token.LeftStrip ? done + text[done..position].TrimEnd().Length : position;
            end = token.RightStrip ? text.Length - text[end..].TrimStart().Length : end;
            Pass(text[done..begin], atStart && done == 0, parseSpecialTokens, ids);
            ids.Add(token.Id);
            done = end;
            position = end - 1;
        }
        Pass(text[done..], atStart && done == 0, parseSpecialTokens, ids);
    }

    private void Pass(ReadOnlySpan<char> text, bool atStart, bool parseSpecialTokens, List<int> ids)
    {
        if (!text.IsEmpty)
        {
            Next.Encode(text, atStart, parseSpecialTokens, ids);
        }
    }

    private AddedToken? Longest(ReadOnlySpan<char> text, bool parseSpecialTokens)
    {
        AddedToken? longest = null;
        int node = Root;
        foreach (char c in text)
        {
            if (!_edges.TryGetValue((node, c), out node))
            {
                break;
            }
            if (_tokenAt[node] is { } token && (parseSpecialTokens || !token.Special))
            {
                longest = token;
            }
        }
        return longest;
    }

    private static bool EndsWord(ReadOnlySpan<char> text) => !text.IsEmpty && IsWordChar(text[^1]);

    private static bool StartsWord(ReadOnlySpan<char> text) => !text.IsEmpty && IsWordChar(text[0]);

    private static bool IsWordChar(char c) => char.IsLetterOrDigit(c)
        || CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark
            or UnicodeCategory.EnclosingMark or UnicodeCategory.ConnectorPunctuation;
}
