namespace LlamaServe.Engine.Text;

/// <summary>The text of one sample: tokens in, certain text out, ended by a stop string if one appears.</summary>
internal sealed class SampleText(ITextDecoder decoder, StopStrings? stops, bool includeStop)
{
    private readonly StopStringMatcher? _matcher = stops is null ? null : new StopStringMatcher(stops);

    /// <summary>The stop string that ended the text.</summary>
    public string? FoundStop => _matcher?.Found;

    /// <summary>The text that is certain with this token.</summary>
    /// <param name="canStop">Whether a stop string may end the text now.</param>
    public string Append(int tokenId, bool canStop)
    {
        string piece = decoder.Append(tokenId);
        return _matcher is null ? piece : _matcher.Append(piece, canStop, includeStop);
    }

    /// <summary>The rest of the text, which may still end in a stop string.</summary>
    public string Finish(bool canStop)
    {
        string rest = decoder.Flush();
        if (_matcher is null)
        {
            return rest;
        }
        string released = _matcher.Append(rest, canStop, includeStop);
        return _matcher.Found is null ? released + _matcher.Flush() : released;
    }
}
