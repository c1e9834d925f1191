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
    private char[] _chars = new char[32];

    /// <param name="skipSpecialTokens">Leave special tokens out, else they are written out.</param>
    /// <param name="continuesText">The ids go on from others, such as a prompt, so a leading space belongs to the text.</param>
    public IncrementalDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens = true, bool continuesText = false)
    {
        _tokenizer = tokenizer;
        _skipSpecialTokens = skipSpecialTokens;
        _stripSpace = tokenizer.StripsLeadingSpace && !continuesText;
    }

    /// <summary>The whole characters that this id completes, maybe none; valid until the next call.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative.</exception>
    public ReadOnlySpan<char> Append(int id)
    {
        ReadOnlySpan<byte> bytes = _tokenizer.TokenBytes(id);
        return _skipSpecialTokens && _tokenizer.IsSpecial(id) ? default : Decode(bytes, flush: false);
    }

    /// <summary>What is left at the end of the stream: U+FFFD for an unfinished character.</summary>
    public ReadOnlySpan<char> Flush() => Decode(default, flush: true);

    private ReadOnlySpan<char> Decode(ReadOnlySpan<byte> bytes, bool flush)
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
        return _chars.AsSpan(0, _decoder.GetChars(bytes, _chars, flush));
    }
}
