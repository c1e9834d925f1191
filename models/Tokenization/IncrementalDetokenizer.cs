using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Turns a stream of ids into a stream of text that never breaks a character: bytes of an unfinished one wait for the
/// next ids. All the pieces together are what decoding all the ids at once gives. One thread at a time.
/// </summary>
public sealed class IncrementalDetokenizer
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private bool _stripSpace;
    private bool _isInsideCharacter;
    private char[] _chars = new char[32];

    /// <param name="skipSpecialTokens">Leave special tokens out, else they are written out.</param>
    /// <param name="continuesText">The ids go on from others, such as a prompt, so a leading space belongs to the text.</param>
    public IncrementalDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens = true, bool continuesText = false)
    {
        _tokenizer = tokenizer;
        _skipSpecialTokens = skipSpecialTokens;
        _stripSpace = tokenizer.StripsLeadingSpace && !continuesText;
    }

    /// <summary>The whole characters that this id completes, maybe none. Allocates only where a token is part of a character.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative.</exception>
    public string Append(int id)
    {
        string? whole = _tokenizer.WholeText(id);
        if (_skipSpecialTokens && _tokenizer.IsSpecial(id))
        {
            return "";
        }
        return whole is not null && !_isInsideCharacter && !_stripSpace ? whole : Decode(_tokenizer.TokenBytes(id), flush: false);
    }

    /// <summary>What is left at the end of the stream: U+FFFD for an unfinished character.</summary>
    public string Flush() => Decode(default, flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        if (_stripSpace && !bytes.IsEmpty)
        {
            bytes = bytes[0] == (byte)' ' ? bytes[1..] : bytes;
            _stripSpace = false;
        }
        int needed = Encoding.UTF8.GetMaxCharCount(bytes.Length);
        if (_chars.Length < needed)
        {
            _chars = new char[needed];
        }
        string text = new(_chars, 0, _decoder.GetChars(bytes, _chars, flush));
        // The decoder would have something to give if it were flushed now.
        _isInsideCharacter = _decoder.GetCharCount([], flush: true) > 0;
        return text;
    }
}
